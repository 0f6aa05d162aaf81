"""The ways between a client's dialect and a provider's: native ones, and crossings."""
