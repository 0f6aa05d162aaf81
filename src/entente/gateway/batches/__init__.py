"""Batches: requests that wait in a file and are served when there is room, like any other."""
