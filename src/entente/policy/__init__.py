"""Who may use what, and how much of it per minute. Pure."""
