"""Comparing what the ledger settled with what a provider says that it served and charges."""
