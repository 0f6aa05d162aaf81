"""Values that every layer speaks in: money, time, ids, usage, calls, errors. Pure."""
