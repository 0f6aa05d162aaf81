"""`entente agreement`, as somebody runs it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import entente.cli.root
from tests.agreement.rights.documents import BASE
from tests.agreement.rights.worked import LIBRARY

PARTNERSHIP = str(LIBRARY / "microsoft-openai" / "agreement.yaml")
STOREFRONTS = str(LIBRARY / "two-storefronts" / "agreement.yaml")
READING = ("--scenario", "cap_after_recoup")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Give a small agreement in a file."""
    path = tmp_path / "a.yaml"
    path.write_text(
        BASE + "events:\n- {id: out, declared_by: lab}\n"
        "exceptions:\n- {id: E, overrides: X1, when: {event: out.declared}}\n"
        "attributes:\n- {id: size, kind: number}\n- {id: loud, kind: truth}\n"
        "prohibitions:\n- {id: P, what: {loud: true, size: {more_than: '1/2'}}}\n"
    )
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run a command and give its status, output and errors."""
    capsys.readouterr()
    status = entente.cli.root.run(["agreement", *arguments])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_check_shows_the_versions(capsys: pytest.CaptureFixture[str]) -> None:
    """With their days, hashes and amendments."""
    status, out, err = run(capsys, "check", PARTNERSHIP, *READING)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"ok: {PARTNERSHIP} (microsoft-openai, 7 versions)"
    assert [line.split()[0] for line in lines[2:]] == [
        "2019-07-22",
        "2021-03-01",
        "2023-01-23",
        "2025-01-21",
        "2025-10-28",
        "2026-02-27",
        "2026-04-27",
    ]
    _, out, _ = run(capsys, "check", PARTNERSHIP, *READING, "--json")
    told: Any = json.loads(out)
    assert told["ok"]
    assert told["versions"][-1]["amendment"] == "A2026-04"
    assert len(told["versions"][0]["hash"]) == 64


def test_check_says_everything_that_is_wrong(
    capsys: pytest.CaptureFixture[str], file: Path
) -> None:
    """A line each, with the place; in JSON, an object each."""
    file.write_text(BASE.replace("holder: cloud", "holder: clud").replace("api", "0.5"))
    status, out, err = run(capsys, "check", str(file))
    assert (status, out) == (1, "")
    assert err.startswith(f"entente: {file}:7:42: 0.5 is a floating number")
    status, out, _ = run(capsys, "check", str(file), "--json")
    told = json.loads(out)
    assert (status, told["ok"], told["problems"][0]["line"]) == (1, False, 7)
    status, _, err = run(capsys, "check", str(file) + "x")
    assert status == 1
    assert "there is no file" in err


def test_decide_answers_by_date(capsys: pytest.CaptureFixture[str]) -> None:
    """The same request, two years apart."""
    asked = ("decide", PARTNERSHIP, *READING, "--model", "gpt-4o", "--host", "aws")
    status, out, _ = run(capsys, *asked, "--surface", "api_stateless", "--at", "2024-06-01")
    assert status == 0
    first, second, _ = out.splitlines()
    assert first.startswith(
        "Not allowed: X1 keeps asset openai_technology and (use research, surface"
    )
    assert first.endswith("to host azure; this request has host aws.")
    assert second == "clauses: X1"
    _, out, _ = run(capsys, *asked, "--surface", "api_stateless", "--at", "2026-05-15", "--json")
    assert json.loads(out)["allowed"] is True


def test_decide_takes_attributes_facts_and_knowledge(
    capsys: pytest.CaptureFixture[str], file: Path, tmp_path: Path
) -> None:
    """Numbers and truth values are read as the document declares them."""
    facts = tmp_path / "facts.yaml"
    facts.write_text(
        "attestations:\n"
        "- {event: out, by: lab, verdict: declared, at: 2026-02-01, known: 2026-03-01}\n"
    )

    def clauses(*arguments: str) -> list[str]:
        _, out, err = run(capsys, "decide", str(file), "--at", "2026-02-15", "--json", *arguments)
        assert err == ""
        return list(json.loads(out)["clauses"])

    api = ("--surface", "api", "--host", "two")
    assert clauses(*api) == ["X1"]
    assert clauses(*api, "--facts", str(facts)) == ["E"]
    assert clauses(*api, "--facts", str(facts), "--known", "2026-02-20") == ["X1"]
    loud = ("--set", "loud=true", "--set")
    assert clauses(*loud, "size=3/4") == ["P"]
    assert clauses(*loud, "size=0.5") == []
    status, out, _ = run(capsys, "decide", str(file))
    assert status == 0
    assert out.startswith("Allowed: no clause is about this.")


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("--at", "yesterday"), "--at: 'yesterday' is neither a day"),
        (("--known", "2026-02-30"), "--known: "),
        (("--set", "size"), "--set takes NAME=VALUE, not 'size'."),
        (("--set", "size=big"), "--set size: 'big' is not a number"),
        (("--set", "hots=two"), "--set hots: `hots` is no usual attribute: did you mean `host`?"),
        (("--facts", "absent.yaml"), "absent.yaml cannot be read"),
        (("--parameter", "x=1"), "there is no parameter `x`"),
        (("--scenario", "x"), "there is no scenario `x`. There is none."),
    ],
)
def test_misuse_is_one_line(
    capsys: pytest.CaptureFixture[str], file: Path, arguments: tuple[str, ...], what: str
) -> None:
    """That says what was wrong."""
    status, out, err = run(capsys, "decide", str(file), *arguments)
    assert (status, out) == (1, "")
    (line,) = err.splitlines()
    assert what in line


def test_a_misspelt_choice_is_not_allowed_but_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """No clause could be about it, which would read as permission."""
    asked = (
        "decide",
        STOREFRONTS,
        "--model",
        "frontier-1",
        "--host",
        "third-cloud",
        "--at",
        "2026-02-01",
        "--surface",
    )
    status, out, _ = run(capsys, *asked, "api_stateless")
    assert (status, out[:11]) == (0, "Not allowed")
    status, out, err = run(capsys, *asked, "api_statless")
    assert (status, out) == (1, "")
    assert "--surface: `surface` has no choice `api_statless`: did you mean `api_stateless`?" in err


def test_facts_that_are_wrong(
    capsys: pytest.CaptureFixture[str], file: Path, tmp_path: Path
) -> None:
    """Their problems have places, too."""
    facts = tmp_path / "facts.yaml"
    facts.write_text("attestations:\n- {event: out, by: lab, verdict: declared, at: 2026-02-30}\n")
    status, _, err = run(capsys, "decide", str(file), "--facts", str(facts))
    assert status == 1
    assert f"{facts}:1:1: " in err
    facts.write_text("attestations:\n- {event: out, by: lab, verdict: maybe, at: 2026-02-03}\n")
    _, _, err = run(capsys, "decide", str(file), "--facts", str(facts))
    assert "must be one of declared, verified, rejected, countered, not 'maybe'" in err


def test_schema_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    """As text and as one line of JSON; and the page."""
    _, out, _ = run(capsys, "schema")
    _, line, _ = run(capsys, "schema", "--json")
    assert json.loads(out) == json.loads(line)
    assert len(line.splitlines()) == 1
    _, page, _ = run(capsys, "schema", "--form", "reference")
    assert page.startswith("# The language of agreements: reference")
