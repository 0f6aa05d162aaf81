"""Loading: problems with their places and remedies, includes, parameters, overlays, versions."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from entente.agreement.document import canonical
from entente.agreement.load import AgreementProblems, Texts, load
from entente.agreement.load import text as yaml_text
from entente.config.agreements import load_agreement
from tests.agreement.rights.documents import BASE, HEAD, LINES, PARTIES, book, ns, problems, said


def test_a_document_loads() -> None:
    """Into a typed tree with a hash of its canonical form."""
    made = book(BASE)
    assert made.id == "pact"
    assert [clause.id for _, _, clause in made.first.agreement.clauses()] == [
        "lab",
        "cloud",
        "model",
        "X1",
    ]
    assert len(made.first.hash) == 64


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ("a: 0.5\n", "1:4", 'quote it, "0.5"'),
        ("a: 1e9\n", "1:4", 'quote it, "1e9"'),
        ("a: .inf\n", "1:4", "floating number"),
        ("a: 1\nb: 2\na: 3\n", "3:1", "`a` stands here twice (first in line 1)"),
        ("a: &x 1\n", "1:4", "anchor"),
        ("a: *x\n", "1:4", "alias"),
        ("a: {<<: {b: 1}}\n", "1:5", "merge key"),
        ("a: !!python/name:os.system x\n", "1:4", "tag"),
        ("? [1]\n: 2\n", "1:3", "a key has to be a word"),
        ("a: 1\n---\nb: 2\n", "2:1", "one document"),
        ("a: [\n", "2:1", "not valid YAML"),
        ("", "1:1", "is empty"),
        ("[1]\n", "1:1", "begins `agreement:`"),
        ("a: " + "9" * 41 + "\n", "1:4", "more than 40 digits"),
        ("a: " + "[" * 50 + "\n", "1:43", "nested more than"),
    ],
)
def test_texts_that_are_refused(text: str, place: str, what: str) -> None:
    """Whatever has no one plain meaning, with its place and what to do."""
    line = said(text)[0]
    assert line.startswith(f"a.yaml:{place}: ")
    assert what in line


def test_all_problems_of_a_text_are_said_at_once() -> None:
    """Not only the first."""
    assert len(said("a: 0.5\nb: *x\na: 1\n")) == 3


def test_bounds_of_a_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes and values."""
    monkeypatch.setattr(yaml_text, "BYTES_MAX", 100)
    assert "larger than 100 bytes" in said("a: " + "x" * 100)[0]
    monkeypatch.setattr(yaml_text, "VALUES_MAX", 5)
    assert "more than 5 values" in said("[1, 2, 3, 4, 5, 6]")[0]


def test_words_of_older_yaml_are_texts() -> None:
    """`on` and `yes` are what they look like."""
    made = book(BASE.replace("{surface: api}", "{use: yes, tag.on: no}"))
    assert made.first.agreement.exclusivities[0].what.written == {"use": "yes", "tag.on": "no"}


PARTY_KINDS = "lab, cloud, nonprofit, company, investors, customers, reseller, author, panel, other"
NO_VALUE = (
    "`surface` is compared with text of 1 to 256 characters, a whole number, or true|false, "
    "not with a mapping"
)
NO_NUMBER = """'one' is not a number such as "0.2", "1/5", "20%", "92e9" or "250_000\""""


def test_problems_have_places_clauses_and_remedies() -> None:
    """File, line, column, clause, field; all of one document at once."""
    text = (
        HEAD
        + """\
parties:
- {id: lab, kind: lap}
- {id: cloud, kin: cloud}
exclusivities:
- id: X1
  holder: cloud
  what: {surface: [api, {a: 1}]}
  only: 5
waterfalls:
- {id: W1, payer: lab, base: b, tiers: [{id: t, split: {lab: one}}]}
"""
    )
    assert said(text) == [
        "a.yaml:4:19: lab.kind: must be one of " + PARTY_KINDS + ", not 'lap'",
        "a.yaml:5:3: cloud: `kind` is missing: add it",
        "a.yaml:5:15: cloud: `kin` is no field here. Did you mean `kind`?",
        "a.yaml:9:9: X1.what: " + NO_VALUE,
        "a.yaml:10:9: X1.only: a condition is a mapping such as {surface: api_stateless}, not 5",
        "a.yaml:12:62: W1.tiers[0].split.lab: " + NO_NUMBER,
    ]


def test_kinds_of_one_list_are_told_apart() -> None:
    """A precedence names its kind."""
    text = BASE + "precedences:\n- {id: F, kind: first_shop}\n"
    (line,) = said(text)
    assert line == (
        f"a.yaml:{LINES + 2}:17: F: `kind` must be one of `first_ship`, `first_refusal`. "
        "Did you mean `first_ship`?"
    )


# Includes


def test_includes_come_first() -> None:
    """Lists of included files before one's own; paths are relative to the file."""
    files = Texts(
        {
            "main.yaml": "include: [parts/a.yaml]\n" + HEAD + "parties:\n- {id: c, kind: lab}\n",
            "parts/a.yaml": "include: [b.yaml]\nparties:\n- {id: b, kind: lab}\n",
            "parts/b.yaml": "parties:\n- {id: a, kind: lab}\nassets:\n"
            "- {id: x, kind: data, owner: a}\n- {id: y, kind: data, owner: b}\n"
            "- {id: z, kind: data, owner: c}\n",
        }
    )
    made = load(files, "main.yaml")
    assert [party.id for party in made.first.agreement.parties] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("../x.yaml", "without `..`"),
        ("/etc/passwd", "inside the document's folder"),
        ("main.yaml", "includes itself"),
        ("other.yaml", "there is no other.yaml"),
        ("bad.yaml", "belongs to the main file"),
    ],
)
def test_includes_that_are_refused(path: str, what: str) -> None:
    """Outside of the folder, in a ring, absent, or with a head of its own."""
    files = Texts({"main.yaml": f"include: [{path}]\n" + BASE, "bad.yaml": HEAD})
    with pytest.raises(AgreementProblems) as caught:
        load(files, "main.yaml")
    assert what in str(caught.value)


def test_problems_of_included_files_name_them() -> None:
    """By the file that somebody has to correct."""
    files = Texts({"main.yaml": "include: [p.yaml]\n" + HEAD, "p.yaml": "parties:\n- {id: a}\n"})
    with pytest.raises(AgreementProblems) as caught:
        load(files, "main.yaml")
    assert str(caught.value) == "p.yaml:2:3: a: `kind` is missing: add it"


def test_a_folder_is_not_left(tmp_path: Path) -> None:
    """A link that leads out is no file of the document."""
    (tmp_path / "secret.yaml").write_text("parties: []\n")
    folder = tmp_path / "agreement"
    folder.mkdir()
    (folder / "link.yaml").symlink_to(tmp_path / "secret.yaml")
    (folder / "main.yaml").write_text("include: [link.yaml]\n" + BASE)
    with pytest.raises(AgreementProblems, match="outside of the document's folder"):
        load_agreement(folder / "main.yaml")
    with pytest.raises(AgreementProblems, match="there is no file"):
        load_agreement(folder / "absent.yaml")


# Parameters

ASKING = BASE.replace("{host: one}", "{host: {parameter: host}}") + (
    "parameters:\n- {id: host, kind: text, meaning: where it is served, choices: [one, two]}\n"
)


def test_a_parameter_without_a_value_names_who_asks() -> None:
    """And how to give it."""
    (line,) = said(ASKING)
    assert line == (
        f"a.yaml:{LINES + 2}:3: host: has no value, and X1 cannot be read without it (where it is "
        "served): give it by --parameter host=…, by a scenario, or as `value` here; one of one, two"
    )


def test_what_can_be_read_beside_a_lacking_parameter_is_read() -> None:
    """So that its problems are said, too."""
    lines = said(ASKING.replace("kind: cloud", "kind: clod"))
    assert len(lines) == 2
    assert "Did you mean" not in lines[0]
    assert "clod" in lines[0]


def test_values_of_parameters() -> None:
    """Who loads wins over the scenario, which wins over the parameter."""
    text = ASKING.replace("[one, two]", "[one, two], value: one") + (
        "scenarios:\n- {id: other, set: {host: two}}\n"
    )

    def host(**options: object) -> object:
        return book(text, **options).first.agreement.exclusivities[0].only.written["host"]

    assert host() == "one"
    assert host(scenario="other") == "two"
    assert host(scenario="other", values={"host": "one"}) == "one"
    assert "must be one of one, two, not three" in said(text, values={"host": "three"})[0]
    assert "there is no parameter `hast`. Did you mean `host`?" in str(
        said(text, values={"hast": "one"})
    )
    assert "there is no scenario `othr`. Did you mean `other`?" in said(text, scenario="othr")[0]


@pytest.mark.parametrize(
    ("kind", "value", "fits"),
    [
        ("number", "1/5", True),
        ("number", "x", False),
        ("truth", "true", True),
        ("truth", "5", False),
        ("text", "5", False),
        ("form", "{a: [1]}", True),
    ],
)
def test_kinds_of_parameters(kind: str, value: str, *, fits: bool) -> None:
    """A value is of its parameter's kind."""
    text = BASE.replace("{host: one}", "{parameter: p}") + (
        f"parameters:\n- {{id: p, kind: {kind}, meaning: m}}\n"
    )
    lines = said(text, values={"p": value})
    assert ("must be a " + kind in str(lines)) is not fits


def test_parameters_that_nobody_asks_for_or_declares() -> None:
    """Both are mistakes."""
    text = BASE.replace("{host: one}", "{host: {parameter: hst}}") + (
        "parameters:\n- {id: host, kind: text, meaning: m, value: one}\n"
    )
    lines = said(text)
    assert (
        "there is no parameter `hst`: declare it under `parameters`. Did you mean `host`?"
        in str(lines)
    )
    assert "no clause asks for this parameter" in str(lines)


def test_a_parameter_of_a_scenario_needs_no_value_without_it() -> None:
    """What only a scenario asks for is asked for where that is chosen."""
    text = BASE + (
        "parameters:\n- {id: host, kind: text, meaning: m}\n"
        "scenarios:\n- {id: s, replace: {X1: {only: {host: {parameter: host}}}}}\n"
    )
    assert said(text) == []
    assert "X1 cannot be read without it" in str(said(text, scenario="s"))
    made = book(text, scenario="s", values={"host": "two"})
    assert made.first.agreement.exclusivities[0].only.written == {"host": "two"}


# Amendments and versions

AMENDED = (
    BASE
    + """\
amendments:
- {id: late, effective: 2027-01-01, end: [X1, E1]}
- id: early
  effective: 2026-07-01
  replace: {X1: {only: {host: two}, until: {date: 2028-01-01, inclusive: false}}}
- id: middle
  effective: 2026-10-01
  known: 2026-12-01
  replace: {X1: {until: null}}
  add: {exceptions: [{id: E1, overrides: X1, when: {segment: public}}]}
"""
)


def test_amendments_count_from_their_day_on() -> None:
    """In the order of effect, wherever they stand in the file."""
    made = book(AMENDED)
    assert [version.amendments for version in made.versions()] == [
        (),
        ("early",),
        ("early", "middle"),
        ("early", "middle", "late"),
    ]
    first, early, middle, late = (version.agreement for version in made.versions())
    assert first.exclusivities[0].only.written == {"host": "one"}
    assert early.exclusivities[0].only.written == {"host": "two"}
    assert early.exclusivities[0].until is not None
    assert middle.exclusivities[0].until is None
    assert [each.id for each in middle.exceptions] == ["E1"]
    assert not late.exclusivities
    assert made.at(ns("2025-12-31")) is None
    assert made.at(ns("2026-06-30")) == made.first
    found = made.at(ns("2026-07-01"))
    assert found is not None
    assert found.agreement == early
    assert len({version.hash for version in made.versions()}) == 4


def test_a_later_knowledge_leaves_earlier_versions_as_they_were() -> None:
    """What was known in November has no trace of what was learnt in December."""
    made = book(AMENDED)
    before = made.at(ns("2026-11-01"), ns("2026-11-30"))
    after = made.at(ns("2026-11-01"), ns("2026-12-01"))
    assert before is not None
    assert after is not None
    assert before.amendments == ("early",)
    assert after.amendments == ("early", "middle")


@pytest.mark.parametrize(
    ("amendment", "what"),
    [
        (
            "{id: A, effective: 2026-02-01, end: [X11]}",
            "no clause `X11` for this to change. Did you",
        ),
        ("{id: A, effective: 2026-02-01, replace: {Y: {only: {}}}}", "there is no clause `Y`"),
        ("{id: A, effective: 2026-02-01, replace: {X1: {id: Z}}}", "keeps its id"),
        ("{id: A, effective: 2026-02-01, end: [X1], replace: {X1: {only: {}}}}", "ends here, too"),
        (
            "{id: A, effective: 2026-02-01, add: {exclusivites: []}}",
            "Did you mean `exclusivities`?",
        ),
        ("{id: A, effective: 2025-02-01, end: [X1]}", "counts before the agreement does"),
        ("{id: A, effective: 2026-02-01, replace: {X1: {onyl: {}}}}", "Did you mean `only`?"),
        ("{id: A, effective: 2026-02-01, add: {parties: [{id: lab, kind: lab}]}}", "taken already"),
        ("{id: A, effectiv: 2026-02-01}", "Did you mean `effective`?"),
        ("{id: A, effective: 2026-02-31, end: [X1]}", "2026-02-31 is in no calendar"),
        ("{id: A, effective: 2026-02-01, known: 2026-02-31, end: [X1]}", "is in no calendar"),
    ],
)
def test_amendments_that_do_not_fit(amendment: str, what: str) -> None:
    """Each with its place."""
    found = problems(BASE + f"amendments:\n- {amendment}\n")
    assert any(what in problem.text for problem in found), found
    assert all(problem.line == LINES + 2 for problem in found)


def test_an_amendment_that_breaks_a_version_is_found_before_its_day() -> None:
    """Every version is checked when the document is loaded."""
    text = BASE + (
        "amendments:\n- {id: A, effective: 2099-01-01, replace: {X1: {holder: nobody}}}\n"
    )
    (line,) = said(text)
    assert line.startswith(f"a.yaml:{LINES + 2}:")
    assert line.endswith("X1.holder: there is no party `nobody`: add it, or correct the name")


def test_a_scenario_changes_the_document_before_its_amendments() -> None:
    """So that amendments build on it."""
    text = AMENDED + "scenarios:\n- {id: s, replace: {X1: {what: {surface: batch}}}}\n"
    plain, changed = book(text), book(text, scenario="s")
    assert plain.versions()[1].agreement.exclusivities[0].what.written == {"surface": "api"}
    assert changed.versions()[1].agreement.exclusivities[0].what.written == {"surface": "batch"}
    assert changed.versions()[1].agreement.exclusivities[0].only.written == {"host": "two"}


def test_a_version_is_a_document_again() -> None:
    """Written in its canonical form and read back, it is the same, with the same hash."""
    for version in book(AMENDED).versions():
        again = book(canonical(version.agreement).decode())
        assert again.first.agreement == version.agreement
        assert again.first.hash == version.hash


def test_one_day_of_difference_is_another_hash() -> None:
    """Two documents are one version only where they say the same."""
    assert book(BASE).first.hash != book(BASE.replace("2026-01-01", "2026-01-02")).first.hash
    spaced = BASE.replace("{id: lab, kind: lab}", "{kind: lab,   id: lab}  # the lab")
    assert book(BASE).first.hash == book(spaced).first.hash


def test_problems_are_values() -> None:
    """For programs: one object each."""
    (problem,) = problems(HEAD + PARTIES.replace("kind: lab", "kind: lap") + "assets: []\n")[:1]
    assert msgspec.to_builtins(problem) | {"text": ""} == {
        "file": "a.yaml",
        "line": 4,
        "column": 19,
        "clause": "lab",
        "path": "kind",
        "text": "",
    }
