"""Dialects: bytes to values and values to bytes, one module each. Pure."""
