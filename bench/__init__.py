"""Measurements of the product beside its limit and its peers, in one run on one machine."""
