"""Long drills: hours of kills, faults and load in minutes, each ended by a proof of the ledger."""
