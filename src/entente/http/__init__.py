"""The edge: HTTP/1.1 in, bytes out."""
