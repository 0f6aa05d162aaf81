"""Issuers of bearer tokens in the configuration: what is read, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from entente.config import Config, ConfigProblems, Problem, load

if TYPE_CHECKING:
    from pathlib import Path

TENANT = "11111111-2222-3333-4444-555555555555"
CANARY = "canary-7f3a9c-never-printed"
ISSUER = f'issuer = "https://login.microsoftonline.com/{TENANT}/v2.0"'
AUDIENCES = 'audiences = ["https://cognitiveservices.azure.com", "api://app"]'
SUBJECTS = 'subjects = { "azp:app-1" = "chat-app", "groups:g:1" = "key_2" }'
USUAL = {"issuer": ISSUER, "audiences": AUDIENCES, "subjects": SUBJECTS}


def section(name: str = "contoso", **changes: str) -> str:
    """Write a section of four lines, with some changed, added or left out."""
    lines = [line for line in {**USUAL, **changes}.values() if line]
    return "\n".join([f"[auth.issuers.{name}]", *lines, ""])


def read(folder: Path, text: str) -> Config:
    """Load a file with this text."""
    path = folder / "entente.toml"
    path.write_text(text)
    return load(path, {})


def problems(folder: Path, text: str) -> tuple[Problem, ...]:
    """Load a wrong file and give what was found."""
    with pytest.raises(ConfigProblems) as caught:
        read(folder, text)
    assert CANARY not in str(caught.value)
    return caught.value.problems


def test_an_issuer_is_read(tmp_path: Path) -> None:
    """Each setting under its name, subjects in the order of the file; without any, none."""
    (tmp_path / "ca.pem").write_text("")
    more = {
        "jwks_uri": 'jwks_uri = "http://127.0.0.1:9/keys?p=1"',
        "ca_file": 'ca_file = "ca.pem"',
        "proxy": 'proxy = "none"',
    }
    config = read(tmp_path, section(**more) + section("plain", issuer='issuer = "https://i/"'))
    contoso, plain = config.auth.issuers["contoso"], config.auth.issuers["plain"]
    assert contoso.issuer.endswith(f"/{TENANT}/v2.0")
    assert contoso.audiences == ("https://cognitiveservices.azure.com", "api://app")
    assert list(contoso.subjects.items()) == [("azp:app-1", "chat-app"), ("groups:g:1", "key_2")]
    assert (contoso.jwks_uri, contoso.proxy) == ("http://127.0.0.1:9/keys?p=1", "none")
    assert contoso.ca_file == tmp_path / "ca.pem"
    assert (plain.jwks_uri, plain.ca_file, plain.proxy) == (None, None, "env")
    assert dict(load(None, {}).auth.issuers) == {}


LONG = ", ".join(f'"oid:{n}" = "k"' for n in range(1001))
MISTAKES: dict[str, tuple[dict[str, str], str, str]] = {
    "no issuer": ({"issuer": ""}, "", "`issuer` is missing"),
    "no audiences": ({"audiences": ""}, "", "`audiences` is missing"),
    "no subjects": ({"subjects": ""}, "", "`subjects` is missing"),
    "no audience": ({"audiences": "audiences = []"}, "audiences", "1 to 16"),
    "one audience as text": ({"audiences": 'audiences = "x"'}, "audiences", "must be a list"),
    "subjects as a list": ({"subjects": "subjects = []"}, "subjects", "a table of texts"),
    "nobody": ({"subjects": "subjects = {}"}, "subjects", "no token stands for anybody"),
    "too many": ({"subjects": f"subjects = {{ {LONG} }}"}, "subjects", "at most 1000"),
    "a misspelt claim": (
        {"subjects": 'subjects = { "group:g" = "k" }'},
        'subjects."group:g"',
        "Did you mean `groups`?",
    ),
    "no claim": (
        {"subjects": 'subjects = { "someone" = "k" }'},
        "subjects.someone",
        "Claims: sub, oid",
    ),
    "no value": ({"subjects": 'subjects = { "oid:" = "k" }'}, 'subjects."oid:"', '"oid:VALUE"'),
    "no key": (
        {"subjects": 'subjects = { "oid:1" = "", "oid:2" = "k" }'},
        'subjects."oid:1"',
        "1 to",
    ),
    "by plain HTTP": ({"issuer": 'issuer = "http://login.example/x"'}, "issuer", "https://"),
    "no address": ({"issuer": 'issuer = "contoso"'}, "issuer", "the URL must look like"),
    "all tenants": (
        {"issuer": 'issuer = "https://login.microsoftonline.com/common/v2.0"'},
        "issuer",
        "one section for each tenant",
    ),
    "a template": (
        {"issuer": 'issuer = "https://login.microsoftonline.com/{tenantid}/v2.0"'},
        "issuer",
        "one section for each tenant",
    ),
    "a password": (
        {"issuer": f'issuer = "https://u:{CANARY}@login.example"'},
        "issuer",
        "user name or password",
    ),
    "keys by plain HTTP": ({"x": 'jwks_uri = "http://h/keys"'}, "jwks_uri", "https://"),
    "keys in a file": ({"x": 'jwks_uri = "file:///keys"'}, "jwks_uri", "https://"),
    "a password for keys": (
        {"x": f'jwks_uri = "https://u:{CANARY}@h/keys"'},
        "jwks_uri",
        "decides who may ask",
    ),
    "a missing file": ({"x": 'ca_file = "gone.pem"'}, "ca_file", "there is no file"),
    "a bad proxy": ({"x": 'proxy = "proxy:3128"'}, "proxy", '"none"'),
    "an unknown setting": ({"x": 'audience = "x"'}, "audience", "Did you mean `audiences`?"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_names_its_setting_and_remedy(tmp_path: Path, name: str) -> None:
    """Each is one problem, on a line of the section."""
    changes, setting, words = MISTAKES[name]
    (problem,) = problems(tmp_path, section(**changes))
    whole = "auth.issuers.contoso"
    assert problem.setting == (f"{whole}.{setting}" if setting else whole)
    assert words in problem.text
    assert problem.line is not None


def test_one_issuer_stands_in_one_section(tmp_path: Path) -> None:
    """Of two nobody could say which one counts."""
    (problem,) = problems(tmp_path, section() + section("again"))
    assert problem.setting == "auth.issuers.again.issuer"
    assert "[auth.issuers.contoso]" in problem.text


def test_issuers_are_bounded(tmp_path: Path) -> None:
    """And the section `[auth]` has nothing else."""
    many = [section(f"i{n}", issuer=f'issuer = "https://i/{n}"') for n in range(33)]
    (problem,) = problems(tmp_path, "".join(many))
    assert (problem.setting, "at most 32" in problem.text) == ("auth.issuers", True)
    (problem,) = problems(tmp_path, "[auth]\nissuer = 1\n")
    assert "Did you mean `issuers`?" in problem.text
