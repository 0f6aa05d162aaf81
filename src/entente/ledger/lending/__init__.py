"""Lending: how many workers share one limit exactly, each spending from a slice of its own. Pure.

A *meter* counts against a limit. Its **lender** is the one truth about it: what was used,
and what is lent to whom. Each worker has a **borrower** for each meter that it uses, which
admits requests against what it has on loan, without asking anybody.

- `messages`  what the two say to each other
- `lender`    the rule of the authority: who gets how much, who waits, who is asked to give back
- `borrower`  a worker's side: what it admits, when it asks, how much, and when it gives back

**Totals, not steps.** Both sides say what has come together since the loan began: the
borrower what it has used and given back, the lender what it has granted. Totals only grow,
so a message that comes twice, late or out of order says nothing new, and the next one says
all that a lost one did.

**Scarcity.** As long as enough is free, a borrower gets a slice of it, no more than a fair
part, and less as less is left. When what is asked for is not free, the meter becomes scarce,
and all are told, by a round with a number: from then on whatever is free with a borrower
goes back at once, and nothing is taken but what was granted for it. Who waits is served in
the order of asking. Once everybody has answered the round, the lender knows that nothing but
running requests stands in the way, and says so (`FULL`): a request that may not wait is
refused, one that may waits on. It is refused for good (`NEVER`) only if it would not fit
were every open hold to come back whole.

What fits, exactly: a request *fits* at an instant when the lender's `limit - used - lent` is
at least its amount and the amounts of those that asked before it. `lent` counts what a borrower
was granted and has not given back by then; in a scarce meter that is what its running requests
hold, and what is on its way. No request is refused as full before every borrower has answered
the round, nor while it fits.

Not more than the limit is lent, and each borrower admits no more than it has on loan, so
used and pending never exceed the limit. Two things can take it past that, and both are told
as soon as they happen: a cost above its hold (it was spent, so it is counted), and a limit
that is lowered below what runs already.
"""
