"""The ledger as cost and usage in FOCUS columns, for tools that read many clouds' bills."""
