"""One `entente serve` in front of a stand-in for every vendor, with keys made beforehand."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from entente.db import DATABASE_NAME
from entente.ledger.journal import decode
from entente.ledger.model import AnyEntry, Hold, Settlement
from entente.ledger.reader import rows
from tests.support.server import EntenteServer, Got, Key
from tests.support.standins import anthropic, azure, bedrock, gemini, openai
from tests.support.standins.anthropic import Anthropic
from tests.support.standins.azure import Azure
from tests.support.standins.bedrock import Bedrock
from tests.support.standins.gemini import Gemini
from tests.support.standins.openai import OpenAI
from tests.support.standins.script import script
from tests.support.standins.standin import KEY, StandIn

RATES_NANO: Final = {
    "input": 1000,
    "cache_read": 500,
    "cache_write": 2000,
    "output": 4000,
    "reasoning": 8000,
}
"""What a token of each class costs, in billionths of a dollar."""
DROPS: Final = "-drop"
"""Behind the name of a model that leaves out what cannot be said."""
DETOURS: Final = (("dead", "gemini"), ("anthropic", "openai"), ("bedrock", "anthropic"))
"""Models of several targets, each in another dialect: `dead->gemini`."""
WRONG_KEY: Final = "canary-wrong-vendor-key"
DEAD_URL: Final = "http://127.0.0.1:1"
"""Where nobody listens."""

_MODEL: Final = """
[models."{name}"]
targets = [{targets}]
price = {{ currency = "USD", per = "1M tokens", input = "1", cached_input = "0.5", \
cache_write = "2", output = "4", reasoning = "8" }}
{more}
"""


class Vendor(NamedTuple):
    """A provider of the configuration; `standin` is None for the one inside the server."""

    name: str
    target: str
    settings: str
    standin: StandIn | None


class Bench:
    """Everything that runs. `told` says what of a scene a provider's API can tell."""

    def __init__(
        self, server: EntenteServer, keys: list[Key], vendors: list[Vendor], standins: StandIns
    ) -> None:
        """Take what runs."""
        self.server = server
        self.standins = standins
        self.vendors = {vendor.name: vendor for vendor in vendors}
        self.told: dict[str, StandIn] = {v.name: v.standin or told_by(v.name) for v in vendors}
        self._keys = iter(keys)
        self._seq = 0
        self._entries: dict[str, list[AnyEntry]] = {}

    def key(self) -> Key:
        """Give a key that nobody has used."""
        return next(self._keys)

    def settlement(self, key: Key) -> Settlement:
        """Give the one settlement of a key, behind its one hold."""
        opened, settled = self.entries(key)
        assert isinstance(opened, Hold)
        assert isinstance(settled, Settlement)
        assert opened.id == settled.id
        return settled

    def entries(self, key: Key) -> list[AnyEntry]:
        """Give what the journal says of a key; what was read before is not read again."""
        for row in rows(self.server.data_dir / DATABASE_NAME, after_seq=self._seq):
            self._seq = row.seq
            entry = decode(row.line)
            self._entries.setdefault(entry.key, []).append(entry)
        return self._entries.get(key.id, [])

    def post(
        self, path: str, headers: dict[str, str], body: bytes, *, as_specified: bool = True
    ) -> Got:
        """Send a request."""
        return self.server.ask("POST", path, headers=headers, body=body, as_specified=as_specified)


def told_by(provider: str) -> StandIn:
    """Give a stand-in that says what a provider tells; the one inside speaks as OpenAI does."""
    kinds: dict[str, type[StandIn]] = {
        "azure": Azure,
        "anthropic": Anthropic,
        "gemini": Gemini,
        "bedrock": Bedrock,
    }
    return kinds.get(provider, OpenAI)()


class StandIns:
    """A stand-in of every vendor, on a loop and a thread of their own."""

    def __init__(self) -> None:
        """Make them; nothing listens yet."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self.all: list[StandIn] = [OpenAI(), Azure(), Anthropic(), Gemini(), Bedrock()]

    def __enter__(self) -> Self:
        """Listen."""
        self._thread.start()
        for standin in self.all:
            self._run(standin.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, and end the thread."""
        for standin in self.all:
            self._run(standin.__aexit__())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def hold(self, standin: StandIn) -> None:
        """Let streams that wait wait from here on."""
        self._loop.call_soon_threadsafe(standin.go_on.clear)

    def go_on(self, standin: StandIn) -> None:
        """Let a stream that waits come to its end."""
        self._loop.call_soon_threadsafe(standin.go_on.set)

    def _run(self, coroutine: Any) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()


def _vendors(standins: list[StandIn]) -> list[Vendor]:
    """Say how each provider is configured."""
    chat, cloud, messages, google, aws = standins
    key = 'api_key = "env:VENDOR_KEY"'
    native = "responses = true"
    settings = f'base_url = "{cloud.base_url}"\napi_version = "{azure.API_VERSION}"\n{key}'
    signed = 'access_key_id = "env:AWS_ID"\nsecret_access_key = "env:VENDOR_KEY"'
    region = f'base_url = "{aws.base_url}"\nregion = "{bedrock.REGION}"\n{signed}'
    return [
        Vendor("openai", openai.MODEL, f'base_url = "{chat.base_url}/v1"\n{native}\n{key}', chat),
        Vendor("azure", azure.DEPLOYMENT, settings, cloud),
        Vendor("anthropic", anthropic.MODEL, f'base_url = "{messages.base_url}"\n{key}', messages),
        Vendor("gemini", gemini.MODEL, f'base_url = "{google.base_url}/v1beta"\n{key}', google),
        Vendor("bedrock", bedrock.MODEL, region, aws),
        Vendor("scripted", "scripted", 'script = "script.toml"', None),
    ]


def _config(vendors: list[Vendor]) -> str:
    """Write the configuration: for each provider a model that refuses and one that drops."""
    tables = []
    for name, target, settings, _ in vendors:
        tables.append(f'[providers.{name}]\nkind = "{name}"\n{settings}\n')
        for suffix, more in (("", ""), (DROPS, 'unsupported = "drop"')):
            tables.append(_model(name + suffix, _target(name, target), more=more))
    locked = next(vendor for vendor in vendors if vendor.name == "anthropic").settings
    locked = locked.replace("VENDOR_KEY", "WRONG_KEY")
    tables.append(f'[providers.locked]\nkind = "anthropic"\n{locked}\n')
    tables.append(_model("locked", _target("locked", anthropic.MODEL)))
    tables.append(f'[providers.dead]\nkind = "anthropic"\nbase_url = "{DEAD_URL}"\n')
    targets = {name: _target(name, target) for name, target, _, _ in vendors}
    targets["dead"] = _target("dead", "gone")
    tables += [_model("->".join(names), *(targets[name] for name in names)) for names in DETOURS]
    return "\n".join(tables)


def _target(provider: str, model: str) -> str:
    return f'{{ provider = "{provider}", model = "{model}" }}'


def _model(name: str, *targets: str, more: str = "") -> str:
    return _MODEL.format(name=name, targets=", ".join(targets), more=more)


@contextlib.contextmanager
def running(folder: Path, *, keys: int) -> Iterator[Bench]:
    """Run the bench; at its end the journal has to be whole and nothing held."""
    with StandIns() as standins:
        vendors = _vendors(standins.all)
        (folder / "script.toml").write_text(script(), encoding="utf-8")
        environ = {"VENDOR_KEY": KEY, "WRONG_KEY": WRONG_KEY, "AWS_ID": bedrock.KEY_ID}
        server = EntenteServer(folder, _config(vendors), environ=environ)
        made = server.make_keys(keys)
        with server:
            yield Bench(server, made, vendors, standins)
            assert server.stop() == 0
            server.verify_at_rest()
            assert server.err_log.read_text() == ""
