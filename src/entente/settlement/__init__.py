"""Use cases over the ledger and an agreement: statements, simulation. No traffic involved."""
