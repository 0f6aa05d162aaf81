"""A mistake gives file, line, setting and remedy; all mistakes are told at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

from entente.config import ConfigProblems, Problem, load
from entente.domain.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

CANARY = "sk-canary-7f3a9c-never-printed"

OPENAI = '[providers.main]\nkind = "openai"\nbase_url = "https://api.example.com/v1"\n'
MODEL = '[models.m]\ntargets = [{ provider = "main", model = "m" }]\n'
PRICED = OPENAI + MODEL + "[models.m.price]\n"


class Mistake(NamedTuple):
    """A file, where its one problem is, and words that the message must have."""

    text: str
    line: int | None
    setting: str
    words: tuple[str, ...]


MISTAKES = {
    "section": Mistake("\n[sever]\nport = 1\n", 2, "sever", ("Did you mean `server`?",)),
    "setting": Mistake("[server]\nprot = 1\n", 2, "server.prot", ("Did you mean `port`?",)),
    "far setting": Mistake("[server]\nxyzzy = 1\n", 2, "server.xyzzy", ("Known here: host, port",)),
    "dotted": Mistake("server.prot = 1\n", 1, "server.prot", ("`port`",)),
    "text for number": Mistake('[server]\nport = "80"\n', 2, "server.port", ("number", "text")),
    "truth for number": Mistake("[server]\nport = true\n", 2, "server.port", ("truth value",)),
    "out of range": Mistake("[server]\nport = 65536\n", 2, "server.port", ("most 65535", "65536")),
    "below range": Mistake("[server]\ninflight_max = 0\n", 2, "server.inflight_max", ("least 1",)),
    "fraction for whole": Mistake("[server]\nport = 1.5\n", 2, "server.port", ("whole number",)),
    "not a number": Mistake("[server]\ndrain_s = nan\n", 2, "server.drain_s", ("a number",)),
    "endless": Mistake("[server]\ndrain_s = inf\n", 2, "server.drain_s", ("at most 604800",)),
    "date": Mistake("[server]\nhost = 2020-01-01\n", 2, "server.host", ("a date",)),
    "empty text": Mistake('[server]\nhost = ""\n', 2, "server.host", ("1 to",)),
    "not a table": Mistake("server = 1\n", 1, "server", ("a table of settings",)),
    "models not a table": Mistake("models = 1\n", 1, "models", ("a table of tables",)),
    "spool": Mistake("[ledger]\nspool_s = 60\n", 2, "ledger.spool_s", ("PostgreSQL", "url")),
    "shared": Mistake("[ledger]\nshared = true\n", 2, "ledger.shared", ("PostgreSQL", "url")),
    "workers": Mistake("[server]\nworkers = 2\n", 2, "server.workers", ("PostgreSQL", "ledger")),
    "path": Mistake("[server]\ndata_dir = 3\n", 2, "server.data_dir", ("a path in quotes",)),
    "validation": Mistake(
        '[server]\nvalidation = "stict"\n', 2, "server.validation", ("Did you mean `strict`?",)
    ),
    "metrics": Mistake('[server]\nmetrics = "pubic"\n', 2, "server.metrics", ("`public`",)),
    "durability": Mistake('[ledger]\ndurability = "ful"\n', 2, "ledger.durability", ("`full`",)),
    "ledger url": Mistake(
        f'[ledger]\nurl = "mysql://u:{CANARY}@h/db"\n', 2, "ledger.url", ("postgresql://",)
    ),
    "ledger without database": Mistake(
        f'[ledger]\nurl = "postgresql://u:{CANARY}@h"\n', 2, "ledger.url", ("names no database",)
    ),
    "ledger port": Mistake(
        f'[ledger]\nurl = "postgresql://u:{CANARY}@[h/db"\n', 2, "ledger.url", ("not an address",)
    ),
    "ledger reference": Mistake(
        '[ledger]\nurl = "env:NOT_THERE"\n', 2, "ledger.url", ("NOT_THERE is not set",)
    ),
    "kind": Mistake(
        '[providers.a]\nkind = "opnai"\n' + MODEL.replace("main", "a"),
        2,
        "providers.a.kind",
        ("`openai`",),
    ),
    "no kind": Mistake(
        "[providers.a]\n" + MODEL.replace("main", "a"), 1, "providers.a", ("`kind` is missing",)
    ),
    "no base_url": Mistake(
        '[providers.main]\nkind = "openai"\n' + MODEL, 1, "providers.main", ("base_url = ",)
    ),
    "meaningless": Mistake(
        '[providers.main]\nkind = "local"\nbase_url = "http://h"\n' + MODEL,
        3,
        "providers.main.base_url",
        ('no meaning for kind = "local"',),
    ),
    "meaningless wait": Mistake(
        '[providers.main]\nkind = "local"\nidle_s = 1\n' + MODEL,
        3,
        "providers.main.idle_s",
        ("remove it",),
    ),
    "scheme": Mistake(
        '[providers.main]\nkind = "openai"\nbase_url = "api.example.com"\n' + MODEL,
        3,
        "providers.main.base_url",
        ("https://host/v1",),
    ),
    "port of a url": Mistake(
        '[providers.main]\nkind = "openai"\nbase_url = "http://h:port"\n' + MODEL,
        3,
        "providers.main.base_url",
        ("not a URL",),
    ),
    "password in a url": Mistake(
        f'[providers.main]\nkind = "openai"\nbase_url = "http://u:{CANARY}@h/v1"\n' + MODEL,
        3,
        "providers.main.base_url",
        ("user name or password",),
    ),
    "query in a url": Mistake(
        f'[providers.main]\nkind = "openai"\nbase_url = "http://h/v1?key={CANARY}"\n' + MODEL,
        3,
        "providers.main.base_url",
        ("path",),
    ),
    "proxy": Mistake(OPENAI + 'proxy = "p"\n' + MODEL, 4, "providers.main.proxy", ('"none"',)),
    "tls proxy": Mistake(
        OPENAI + 'proxy = "https://p"\n' + MODEL, 4, "providers.main.proxy", ("only proxies",)
    ),
    "password in a proxy": Mistake(
        OPENAI + f'proxy = "http://u:{CANARY}@h"\n' + MODEL,
        4,
        "providers.main.proxy",
        ("HTTPS_PROXY",),
    ),
    "timeout": Mistake(
        OPENAI + "idle_s = 0\n" + MODEL, 4, "providers.main.idle_s", ("number above 0",)
    ),
    "no such file": Mistake(
        OPENAI + 'ca_file = "gone.pem"\n' + MODEL,
        4,
        "providers.main.ca_file",
        ("gone.pem", "create it"),
    ),
    "certificate without key": Mistake(
        OPENAI + 'cert_file = "entente.toml"\n' + MODEL,
        4,
        "providers.main.cert_file",
        ("needs `key_file`",),
    ),
    "literal secret": Mistake(
        OPENAI + f'api_key = "{CANARY}"\n' + MODEL,
        4,
        "providers.main.api_key",
        ("must be a reference", '"env:NAME"'),
    ),
    "secret as env name": Mistake(
        OPENAI + f'api_key = "env:{CANARY}"\n' + MODEL,
        4,
        "providers.main.api_key",
        ("not the name of an environment variable",),
    ),
    "secret as table": Mistake(
        OPENAI + f'api_key = {{ value = "{CANARY}" }}\n' + MODEL,
        4,
        "providers.main.api_key",
        ("must be a reference",),
    ),
    "secret in another setting": Mistake(
        f'[server]\nport = "{CANARY}"\n', 2, "server.port", ("text",)
    ),
    "secret under a wrong name": Mistake(
        OPENAI + f'apikey = "{CANARY}"\n' + MODEL, 4, "providers.main.apikey", ("`api_key`",)
    ),
    "unset env": Mistake(
        OPENAI + 'api_key = "env:NOT_THERE"\n' + MODEL,
        4,
        "providers.main.api_key",
        ("NOT_THERE is not set", "export NOT_THERE="),
    ),
    "empty env": Mistake(
        OPENAI + 'api_key = "env:EMPTY"\n' + MODEL,
        4,
        "providers.main.api_key",
        ("EMPTY is empty",),
    ),
    "env with a line break": Mistake(
        OPENAI + 'api_key = "env:BROKEN"\n' + MODEL,
        4,
        "providers.main.api_key",
        ("BROKEN holds", "on one line"),
    ),
    "unreadable file": Mistake(
        OPENAI + 'api_key = "file:gone.txt"\n' + MODEL,
        4,
        "providers.main.api_key",
        ("gone.txt", "No such file"),
    ),
    "folder as file": Mistake(
        OPENAI + 'api_key = "file:."\n' + MODEL, 4, "providers.main.api_key", ("cannot be read",)
    ),
    "no models": Mistake(OPENAI, None, "", ('[models."NAME"]',)),
    "empty models": Mistake("[models]\n", None, "", ('[models."NAME"]',)),
    "unknown provider": Mistake(
        OPENAI + '[models."gpt-4.1"]\ntargets = [\n  { provider = "mian", model = "m" },\n]\n',
        6,
        'models."gpt-4.1".targets[0].provider',
        ("[providers.mian]", "Did you mean `main`?"),
    ),
    "target array table": Mistake(
        OPENAI
        + MODEL
        + '[[models.n.targets]]\nprovider = "main"\nmodel = "a"\n'
        + '[[models.n.targets]]\nprovider = "main"\nmodle = "b"\nmodel = "c"\n',
        11,
        "models.n.targets[1].modle",
        ("`model`",),
    ),
    "no targets": Mistake(
        OPENAI + "[models.m]\ntargets = []\n", 5, "models.m.targets", ("1 to 64", "not 0")
    ),
    "targets missing": Mistake(
        OPENAI + '[models.m]\nowned_by = "x"\n', 4, "models.m", ("`targets` is missing",)
    ),
    "target not a table": Mistake(
        OPENAI + '[models.m]\ntargets = ["main"]\n', 5, "models.m.targets[0]", ("a table",)
    ),
    "float price": Mistake(
        PRICED + 'currency = "USD"\nper = "1M tokens"\ninput = 0.15\noutput = "1"\n',
        9,
        "models.m.price.input",
        ('write "0.15"',),
    ),
    "whole price": Mistake(
        PRICED + 'currency = "USD"\nper = "1M tokens"\ninput = "1"\noutput = 2\n',
        10,
        "models.m.price.output",
        ('write "2"',),
    ),
    "price in words": Mistake(
        PRICED + 'currency = "USD"\nper = "1M tokens"\ninput = "cheap"\noutput = "1"\n',
        9,
        "models.m.price.input",
        ("not a decimal",),
    ),
    "secret as price": Mistake(
        PRICED + f'currency = "USD"\nper = "1 token"\ninput = "{CANARY}"\noutput = "1"\n',
        9,
        "models.m.price.input",
        ("not a decimal",),
    ),
    "price by zero": Mistake(
        PRICED + 'currency = "USD"\nper = "1M tokens"\ninput = "1/0"\noutput = "1"\n',
        9,
        "models.m.price.input",
        ("not a decimal",),
    ),
    "negative price": Mistake(
        PRICED + 'currency = "USD"\nper = "1M tokens"\ninput = "-1"\noutput = "1"\n',
        9,
        "models.m.price.input",
        ("negative",),
    ),
    "price per": Mistake(
        PRICED + 'currency = "USD"\nper = "1M"\ninput = "1"\noutput = "1"\n',
        8,
        "models.m.price.per",
        ('"1M tokens" | "1K tokens" | "1 token"',),
    ),
    "currency": Mistake(
        PRICED + 'currency = "usd"\nper = "1 token"\ninput = "1"\noutput = "1"\n',
        7,
        "models.m.price.currency",
        ('"USD"',),
    ),
    "price without input": Mistake(
        PRICED + 'currency = "USD"\nper = "1 token"\noutput = "1"\n',
        6,
        "models.m.price",
        ("`input` is missing",),
    ),
    "price per minute without its rate": Mistake(
        PRICED + 'currency = "USD"\nper = "1 minute"\n',
        6,
        "models.m.price",
        ('`input` is missing for per = "1 minute"',),
    ),
    "price per image with another rate": Mistake(
        PRICED + 'currency = "USD"\nper = "1 image"\ninput = "1"\noutput = "1"\n',
        9,
        "models.m.price.input",
        ("whose one rate is `output`",),
    ),
    "shutdown that is no day": Mistake(
        OPENAI + MODEL + 'shutdown_date = "soon"\n',
        6,
        "models.m.shutdown_date",
        ('"2027-03-31"',),
    ),
    "name with a dot": Mistake(
        OPENAI + MODEL.replace("models.m", "models.gpt-4") + "[models.gpt-4.1]\n",
        6,
        "models.gpt-4.1",
        ('in quotes: [models."gpt-4.1"]',),
    ),
    "inline table": Mistake(
        'models = { m = { targets = [\n{ provider = "main", x = 1, model = "m" }] } }\n' + OPENAI,
        2,
        "models.m.targets[0].x",
        ("no such setting",),
    ),
    "syntax": Mistake("[server]\n\nport = \n", 3, "", ("not valid TOML",)),
    "unquoted word": Mistake("[server]\nhost = localhost\n", 2, "", ("quote the value",)),
    "open string": Mistake('[server]\nhost = "\n', 2, "", ("not valid TOML",)),
    "endless number": Mistake(f"[server]\nport = {'9' * 5000}\n", 3, "", ("not valid TOML",)),
    "large number": Mistake(f"[server]\nworkers = 1{'0' * 400}\n", 2, "server.workers", ("1",)),
    "too deep": Mistake("[server]\nhost = " + "[" * 5000 + "]" * 5000, 2, "", ("TOML",)),
    "open at the end": Mistake("[server]\nhost = [1,", 2, "", ("not valid TOML",)),
}


def problems_of(path: Path, text: str) -> tuple[Problem, ...]:
    """Load a wrong file and give what was found."""
    path.write_text(text)
    with pytest.raises(ConfigProblems) as caught:
        load(path, {"EMPTY": " ", "BROKEN": f"{CANARY}\nmore"})
    assert isinstance(caught.value, ConfigError)
    assert CANARY not in str(caught.value)
    assert CANARY not in repr(caught.value)
    return caught.value.problems


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_names_file_line_setting_and_remedy(tmp_path: Path, name: str) -> None:
    """Each kind of mistake is one problem, told where it is."""
    mistake = MISTAKES[name]
    path = tmp_path / "entente.toml"
    (problem,) = problems_of(path, mistake.text)
    assert (problem.line, problem.setting) == (mistake.line, mistake.setting)
    for word in mistake.words:
        assert word in problem.text
    place = str(path) if mistake.line is None else f"{path}:{mistake.line}"
    assert str(problem).startswith(f"{place}: ")


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    """One run of `config check` is enough to correct a file."""
    text = "".join(
        mistake.text
        for mistake in (
            MISTAKES["setting"],
            MISTAKES["durability"],
            MISTAKES["kind"],
            MISTAKES["literal secret"],
        )
    ).replace("[models.m]\n", "[models.one]\n", 1)
    found = problems_of(tmp_path / "entente.toml", text)
    assert [problem.setting for problem in found] == [
        "server.prot",
        "ledger.durability",
        "providers.a.kind",
        "providers.main.api_key",
    ]
    assert [problem.line for problem in found] == sorted(problem.line or 0 for problem in found)


def test_one_bad_target_hides_no_other(tmp_path: Path) -> None:
    """Each item of a list is read by itself."""
    text = OPENAI + (
        '[models.m]\ntargets = [\n{ provider = "main" },\n{ provider = "gone", model = "m" },\n]\n'
    )
    found = problems_of(tmp_path / "entente.toml", text)
    assert [(problem.line, problem.setting) for problem in found] == [
        (6, "models.m.targets[0]"),
        (7, "models.m.targets[1].provider"),
    ]


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    """Only a file named with --config can be missing."""
    with pytest.raises(ConfigProblems, match=r"gone\.toml: cannot be read \(No such file"):
        load(tmp_path / "gone.toml", {})


def test_what_is_not_text_says_so(tmp_path: Path) -> None:
    """Latin-1 is the usual case."""
    path = tmp_path / "entente.toml"
    path.write_bytes(b"[server]\nhost = 'caf\xe9'\n")
    with pytest.raises(ConfigProblems, match=r"entente\.toml:2: is not UTF-8"):
        load(path, {})


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    """The bound is on what is read, so a device that never ends is no trouble."""
    path = tmp_path / "entente.toml"
    path.write_bytes(b"#" * (4 * 1024 * 1024 + 1))
    with pytest.raises(ConfigProblems, match="larger than"):
        load(path, {})


@pytest.mark.parametrize("content", [b"", b" \n", b"a b", b"caf\xe9", b"x" * 70_000])
def test_secret_files_are_checked(tmp_path: Path, content: bytes) -> None:
    """A secret must fit a header, and be there."""
    (tmp_path / "key").write_bytes(content)
    text = OPENAI + 'api_key = "file:key"\n' + MODEL
    (problem,) = problems_of(tmp_path / "entente.toml", text)
    assert problem.setting == "providers.main.api_key"
    assert str(tmp_path / "key") in problem.text
