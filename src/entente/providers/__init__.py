"""Who serves a model: one file per vendor behind one small protocol, and one registry."""
