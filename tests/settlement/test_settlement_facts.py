"""Facts as lines of JSON: each kind by what it says, and errors with file and line."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from entente.agreement.log import Attested, Contributed, Corrected, Issued, Measured, Quoted
from entente.domain.errors import InvalidParameter
from entente.settlement import facts
from entente.settlement.facts import read_facts

BERLIN = ZoneInfo("Europe/Berlin")


def test_the_lines_of_the_docstring() -> None:
    """What the module shows is what it reads."""
    text = (facts.__doc__ or "").split("\n\n")[1]
    lines = text.replace("\n     ", " ").encode().splitlines()
    found = list(read_facts(lines, BERLIN, name="x"))
    kinds = [Attested, Contributed, Issued, Quoted, Corrected, Measured]
    assert [type(each) for each in found] == kinds
    assert {each.at_ns for each in found} == {1_777_586_400_000_000_000}
    measured = found[-1]
    assert isinstance(measured, Measured)
    assert (measured.nano, measured.asset) == (12_500_000_000, "USD")
    assert (measured.attributes, measured.numbers) == ((("kind", "invoice"),), {"seats": 40})


def test_what_is_known_later() -> None:
    """Two instants, both in the agreement's zone where they are days."""
    line = b'{"id":"x","at":"2026-05-01","known":"2026-06-01T00:00:00Z","of":"m","amount":null}'
    (found,) = read_facts([line, b"\n"], BERLIN, name="x")
    assert isinstance(found, Corrected)
    assert (found.nano, found.known_ns - found.at_ns) == (None, (31 * 24 + 2) * 3600 * 10**9)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", "facts.jsonl:1: Input data was truncated"),
        (b"[]", "a fact is an object"),
        (b'{"id":"x","at":"2026-05-01"}', "says none of event"),
        (b'{"id":"x","at":"soon","amount":"1","currency":"USD"}', r"at `\$.at`"),
        (b'{"id":"x","at":"2026-02-30","amount":"1","currency":"USD"}', "day"),
        (b'{"id":"x","at":"2026-05-01","amount":1.5,"currency":"USD"}', "not an exact number"),
        (b'{"id":"x","at":"2026-05-01","amount":"1e-9","currency":"USD"}', "is not a number"),
        (b'{"id":"x","at":"2026-05-01","amount":"0.0000000001","currency":"USD"}', "nano-units"),
        (b'{"id":"x","at":"2026-05-01","event":"agi","verdict":"maybe","by":"lab"}', "maybe"),
        (b'{"id":"x","at":"2026-05-01","amount":"1","currency":"USD","sya":{}}', "sya"),
        (b" " * 70_000 + b"{}", "65536 bytes"),
        (
            b'{"id":"x","at":"2026-05-01","amount":"1","amount":"2","currency":"USD"}',
            "facts.jsonl:1: `amount` stands in it twice: remove one",
        ),
        (
            b'{"id":"x","at":"2026-05-01","amount":"1","currency":"USD","say":{"a":1,"\\u0061":2}}',
            "`a` stands in it twice",
        ),
        (b'{"say":%b%b}' % (b"[" * 32_000, b"]" * 32_000), "jsonl:1: it (is nested too|says none)"),
    ],
)
def test_what_cannot_be_read(line: bytes, message: str) -> None:
    """Names the file and the line, and says what is wrong."""
    with pytest.raises(InvalidParameter, match=message):
        list(read_facts([line], BERLIN, name="facts.jsonl"))
