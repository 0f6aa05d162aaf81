"""The edge: ASGI in, bytes out."""
