"""Rollups: what the journal's settled requests add up to, by time and by what they were.

They are made of the journal and of nothing else, behind it, so no request waits for them,
and they can be thrown away and made anew at any time.

- `tally`    entries in, exact sums out; pure
- `schema`   the tables, and the file that they have beside a journal in SQLite
- `table`    sums written and asked for, on either kind of database
- `source`   the seam to the journals that are folded
- `fold`     on from where the last fold ended; anew; and compared with the journal
- `beside`   opened in a data folder
- `folder`   folding while the server runs, in a thread of its own
"""
