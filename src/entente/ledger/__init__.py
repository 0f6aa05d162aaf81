"""The ledger: an append-only, hash-chained journal of grants, holds and settlements.

- `model`    accounts, postings, entries, and the functions that make entries
- `journal`  entries as chained lines; `verify` folds and checks a whole journal
- `books`    what entries add up to: balances and open holds
- `store`    the seam to where the journal is kept; `sqlite` and `memory` keep it
- `reader`   reading a journal at start, for exports and reports
- `lending`  how many workers share one limit
- `ledger`   `hold` and `settle` for the requests of one process
"""
