"""Use cases of the control plane, above the stores: keys, budgets, reports."""
