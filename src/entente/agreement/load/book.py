"""A document's versions over two axes of time: from when they count, and since when known.

A version is the document with every amendment that counts by then. An amendment that was
learnt later than it counts makes other versions for who looks from before that: what was
settled then is settled the same again.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from zoneinfo import ZoneInfo

import msgspec

from entente.agreement.document import Agreement


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A document as it counts from an instant on."""

    agreement: Agreement
    hash: str
    """SHA-256 of its canonical form, in hex; stands in each decision and posting."""
    effective_ns: int
    amendments: tuple[str, ...]
    """What has been applied, in order."""


class Book:
    """All versions of one document."""

    def __init__(
        self, versions: Mapping[tuple[str, ...], Version], known_ns: Mapping[str, int]
    ) -> None:
        """Take versions by what was applied, and since when each amendment is known."""
        self._versions = versions
        self._known_ns = known_ns
        self._sequences: dict[frozenset[str], tuple[Version, ...]] = {}
        self.first = versions[()]
        self.zone = ZoneInfo(self.first.agreement.agreement.zone)

    @property
    def id(self) -> str:
        """The agreement's id."""
        return self.first.agreement.agreement.id

    def versions(self, known_ns: int | None = None) -> tuple[Version, ...]:
        """Give the versions in the order in which they count, as known at an instant.

        Without `known_ns`, everything in the document is known. Of versions that count from
        the same instant only the last is given.
        """
        known = frozenset(
            name
            for name, since_ns in self._known_ns.items()
            if known_ns is None or since_ns <= known_ns
        )
        found = self._sequences.get(known)
        if found is None:
            by_instant: dict[int, Version] = {}
            applied: tuple[str, ...] = ()
            by_instant[self.first.effective_ns] = self.first
            for name in self._known_ns:
                if name in known:
                    applied = (*applied, name)
                    version = self._versions[applied]
                    by_instant[version.effective_ns] = version
            found = tuple(by_instant.values())
            self._sequences[known] = found
        return found

    def learns_ns(self, now_ns: int) -> tuple[int, ...]:
        """Give the instants behind one at which an amendment becomes known, in order."""
        return tuple(sorted({known for known in self._known_ns.values() if known > now_ns}))

    def foreseen(self, now_ns: int) -> tuple[Version, ...]:
        """Give the versions that will count, as far as that is certain at an instant.

        An amendment that is known by the time it counts changes nothing before; the first one
        that is learnt later than it counts, and all behind it, are left for then.
        """
        counts_ns = {
            applied[-1]: version.effective_ns
            for applied, version in self._versions.items()
            if applied
        }
        late = [
            known for name, known in self._known_ns.items() if known > max(now_ns, counts_ns[name])
        ]
        return self.versions(min(late) - 1 if late else None)

    def at(self, at_ns: int, known_ns: int | None = None) -> Version | None:
        """Give the version that counts at an instant; None before the first does."""
        versions = self.versions(known_ns)
        found = bisect_right([version.effective_ns for version in versions], at_ns)
        return versions[found - 1] if found else None
