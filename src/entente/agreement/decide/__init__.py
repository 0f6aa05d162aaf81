"""May this request be served there, at this instant? With the clauses, and one sentence."""
