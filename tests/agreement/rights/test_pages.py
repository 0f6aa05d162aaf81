"""What is written from the types is current, and the schema means what loading does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import entente.cli.root
from entente.agreement.check.conditions import USUAL
from entente.agreement.conditions import parse as parse_condition
from entente.agreement.document import SECTIONS, Document
from entente.agreement.example import EXAMPLE
from entente.agreement.load.text import parse
from entente.agreement.load.tree import plain
from entente.agreement.reference import reference_text
from entente.agreement.schema import schema, schema_text
from tests.agreement.money.ladders import F
from tests.agreement.rights.documents import book

PAGES = Path(__file__).parents[3] / "docs" / "agreement"


def test_the_schema_is_current() -> None:
    """Else: `entente agreement schema > docs/agreement/schema.json`."""
    assert (PAGES / "schema.json").read_text(encoding="utf-8") == schema_text()


def test_the_reference_is_current() -> None:
    """Else: `entente agreement schema --form reference > docs/agreement/reference.md`."""
    assert (PAGES / "reference.md").read_text(encoding="utf-8") == reference_text()


def test_the_reference_has_every_list_and_all_primitives() -> None:
    """Each with an example."""
    page = reference_text()
    for section in SECTIONS:
        assert f"## `{section}`" in page
    assert set(map(int, re.findall(r"^## .*primitive (\d+)$", page, re.MULTILINE))) == set(
        range(1, 23)
    )
    assert page.count("```yaml") == len(SECTIONS) + 4


def test_every_field_is_in_the_schema_once() -> None:
    """Fields of the document and nothing else."""
    described = schema()
    properties = described["$defs"]["Document"]["properties"]
    assert set(properties) == set(Document.__struct_fields__)
    references = set(re.findall(r'"#/\$defs/([^"]+)"', json.dumps(described)))
    assert references <= set(described["$defs"])


def allowed(  # noqa: PLR0911  (one return for each word of the schema)
    value: Any, part: dict[str, Any], definitions: dict[str, Any]
) -> bool:
    """Say whether a value fits a part of the schema: what it uses of JSON Schema, and no more."""
    if "$ref" in part:
        return allowed(value, definitions[part["$ref"].rpartition("/")[2]], definitions)
    if "anyOf" in part:
        return any(allowed(value, each, definitions) for each in part["anyOf"])
    if "enum" in part:
        return value in part["enum"]
    kinds = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}
    kind = part.get("type")
    if kind == "null":
        return value is None
    if kind and (
        not isinstance(value, kinds[kind]) or (kind == "integer" and isinstance(value, bool))
    ):
        return False
    if isinstance(value, str):
        return re.search(part.get("pattern", ""), value) is not None
    if isinstance(value, list):
        items = part.get("items", {})
        return all(allowed(item, items, definitions) for item in value)
    if isinstance(value, dict):
        return members_allowed(value, part, definitions)
    return True


def members_allowed(
    value: dict[str, Any], part: dict[str, Any], definitions: dict[str, Any]
) -> bool:
    """Say whether an object's members fit."""
    known = part.get("properties", {})
    others = part.get("additionalProperties", True)
    if not set(part.get("required", ())) <= set(value):
        return False
    for key, item in value.items():
        rule = known.get(key, others)
        if rule is False or (rule is not True and not allowed(item, rule, definitions)):
            return False
    return True


@pytest.mark.parametrize("list_", ["whole", *SECTIONS])
def test_the_example_fits_the_schema(list_: str) -> None:
    """And does not once a field is misspelt, or a needed one is missing."""
    described = schema()
    document: Any = plain(parse(EXAMPLE.encode(), "example"))
    root = described["$defs"]["Document"]
    assert allowed(document, root, described["$defs"])
    if list_ == "whole":
        assert book(EXAMPLE).id == document["agreement"]["id"]
        return
    clause = document[list_][0]
    assert not allowed({**document, list_: [{**clause, "misspelt": 1}]}, root, described["$defs"])
    del clause["id"]
    assert not allowed(document, root, described["$defs"])


def blocks(page: str, kind: str) -> list[str]:
    """Give the blocks of a kind on a page."""
    text = (PAGES / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{kind}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def test_the_language_page_is_true() -> None:
    """Its document loads, its amendment changes it, its conditions are conditions."""
    _, document, amendment, _ = blocks("language.md", "yaml")
    more = (
        "- {id: X2, holder: cloud, what: {use: training}, only: {host: cloud-one}}\n"
        "bases:\n- {id: b, owner: lab, when: {seller: lab}, measure: gross}\n"
        "shares:\n- {id: S1, payer: lab, payee: cloud, ratio: 1, base: b}\n"
    )
    made = book(document + more + amendment)
    assert [version.amendments for version in made.versions()] == [(), ("A2026-04-27",)]
    assert made.versions()[1].agreement.shares[0].ratio == F(1, 10)
    page = (PAGES / "language.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.+`) \| (?:the|…|it|an|a|conditions)", page, flags=re.MULTILINE)
    lines = [line for row in rows for line in re.findall(r"`([^`]+)`", row)]
    assert len(lines) == 13
    for line in lines:
        filled = line.replace("[…]", "[{a: 1}]").replace("{…}", "{a: 1}")
        assert parse_condition(plain(parse(filled.encode(), line))).written


def test_usual_attributes_are_on_the_page() -> None:
    """All of them, and no others."""
    page = (PAGES / "language.md").read_text(encoding="utf-8")
    listing = page.split("need no declaration: ", 1)[1].split(", and everything", 1)[0]
    assert set(re.findall(r"`(\w+)`", listing)) == USUAL


def test_the_deciding_page_is_true(capsys: pytest.CaptureFixture[str]) -> None:
    """What it shows is what is answered."""
    (shown,) = blocks("deciding.md", "console")
    command, *answer = shown.replace("\\\n", " ").splitlines()
    words = command.replace("examples/", f"{PAGES.parents[1]}/examples/").split()
    assert words[:2] == ["$", "entente"]
    assert entente.cli.root.run(words[2:]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == answer[:2]
