"""From a log to what is owed: calculators over exact numbers, and the fold that uses them."""
