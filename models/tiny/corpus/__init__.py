"""Generators of the training and evaluation text of entente-tiny."""
