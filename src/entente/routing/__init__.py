"""Which provider serves a model. Pure."""
