"""The state that entries add up to: balances, open holds and meters. Pure.

The server keeps one `Books` in memory and applies each entry before it is written, in
the order in which it will be written; verification folds the same entries again.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from entente.ledger.meters import Meters, Taken
from entente.ledger.model import AnyEntry, Hold, Posting, Settlement, available, held


class Books(msgspec.Struct):
    """Balances by account and asset, and the holds that are not settled."""

    balances: dict[str, dict[str, int]] = {}
    """Nano-units by account, then asset."""
    open_holds: dict[str, Hold] = {}
    """By request id."""
    meters: Meters = msgspec.field(default_factory=Meters)
    """What rules count."""

    def apply(self, entry: AnyEntry) -> None:
        """Move what the entry's postings say, and open or close its hold."""
        self.post(entry.postings)
        if isinstance(entry, Hold):
            self.open_holds[entry.id] = entry
            if entry.draws:
                self.meters.hold(entry.draws)
        elif isinstance(entry, Settlement):
            opened = self.open_holds.pop(entry.id, None)
            if opened is not None and opened.draws:
                self.meters.settle(opened.draws, Taken(entry.cost_nano or 0, entry.usage))

    def post(self, postings: Iterable[Posting]) -> None:
        """Move what postings say."""
        balances = self.balances
        for posting in postings:
            asset, nano = posting.asset, posting.nano
            source, destination = posting.source, posting.destination
            amounts = balances.get(source) or balances.setdefault(source, {})
            amounts[asset] = amounts.get(asset, 0) - nano
            amounts = balances.get(destination) or balances.setdefault(destination, {})
            amounts[asset] = amounts.get(asset, 0) + nano

    def retract(self, hold: Hold) -> None:
        """Take back a hold that could not be written."""
        if self.open_holds.pop(hold.id, None) is None:
            return
        for posting in hold.postings:
            self.balances[posting.source][posting.asset] += posting.nano
            self.balances[posting.destination][posting.asset] -= posting.nano
        self.meters.release(hold.draws)

    def balance(self, account: str, asset: str) -> int:
        """Give the balance of an account in nano-units, zero where nothing was posted."""
        amounts = self.balances.get(account)
        return amounts.get(asset, 0) if amounts else 0

    def available(self, key: str, asset: str) -> int:
        """Give what a key may spend now."""
        return self.balance(available(key), asset)

    def held(self, key: str, asset: str) -> int:
        """Give what a key's open holds set aside."""
        return self.balance(held(key), asset)
