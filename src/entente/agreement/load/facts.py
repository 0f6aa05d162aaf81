"""Facts in a file: what has been attested, and what totals came to, with days as people write.

attestations:
- {event: agi, by: member_a, verdict: verified, at: 2031-03-01, evidence: "…"}
totals:
- {total: investor_profit, at: 2030-12-31, value: "100e9"}
"""

from __future__ import annotations

from zoneinfo import ZoneInfo

import msgspec

from entente.agreement.load.problems import Problems
from entente.agreement.load.read import UNREADABLE, Reader
from entente.agreement.load.text import parse
from entente.agreement.load.tree import Tree
from entente.agreement.occasions import NO_SUBJECT, Attestation, Facts, Reading, Verdict
from entente.agreement.rights import Text
from entente.agreement.values import Exact, Name, When, instant_ns


class _Attested(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    event: Name
    by: Name
    verdict: Verdict
    at: When
    known: When | None = None
    subject: Text | None = None
    evidence: str = ""


class _Total(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    total: Text
    at: When
    value: Exact
    known: When | None = None


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    attestations: tuple[_Attested, ...] = ()
    totals: tuple[_Total, ...] = ()


def load_facts(content: bytes, file: str, zone: ZoneInfo) -> Facts:
    """Read facts; days are of `zone`. Raises AgreementProblems with everything wrong."""
    return read_facts(parse(content, file), zone)


def read_facts(tree: Tree, zone: ZoneInfo) -> Facts:
    """Read facts from a parsed text. Raises AgreementProblems."""
    problems = Problems()
    read = Reader(problems).read(_File, tree)
    facts = Facts()
    if read is not UNREADABLE:
        try:
            facts = _facts(read, zone)
        except (ValueError, OverflowError) as error:
            problems.add(tree.mark, f"{error}: correct the day")
    problems.stop()
    return facts


def _facts(read: _File, zone: ZoneInfo) -> Facts:
    return Facts(
        attestations=tuple(
            Attestation(
                event=each.event,
                by=each.by,
                verdict=each.verdict,
                at_ns=instant_ns(each.at, zone),
                known_ns=None if each.known is None else instant_ns(each.known, zone),
                subject=NO_SUBJECT if each.subject is None else each.subject,
                evidence=each.evidence,
            )
            for each in read.attestations
        ),
        readings=tuple(
            Reading(
                total=each.total,
                at_ns=instant_ns(each.at, zone),
                value=each.value,
                known_ns=None if each.known is None else instant_ns(each.known, zone),
            )
            for each in read.totals
        ),
    )
