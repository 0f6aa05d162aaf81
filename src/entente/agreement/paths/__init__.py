"""Many possible futures of an agreement at once: amounts drawn at random, settled exactly.

The only package of `agreement` that needs numpy (`entente[agreement]`).
"""
