"""What a request can cost, and what it did cost. Pure."""
