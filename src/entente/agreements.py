"""The agreement that a server goes by: its files read, watched, and put before the gateway.

The document may change while the server runs. A changed one that is in order counts from
the next request on; one that is not leaves the old one in force, and is told of.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from entente.agreement.decide import Rules
from entente.agreement.load import Book, load
from entente.agreement.log import AnyFact, Attested, Log
from entente.agreement.occasions import Attestation, Facts, Reading, Verdict
from entente.config import AgreementConfig, AgreementMode, Config
from entente.config.agreements import Folder, facts_path, traits_of
from entente.domain.chat import Surface
from entente.domain.errors import ConfigError, EntenteError
from entente.domain.principal import Principal
from entente.gateway.agreed import Allowed
from entente.gateway.enforcing import Enforcer
from entente.ledger.places import Place
from entente.routing.catalog import Model
from entente.settlement.facts import read_facts
from entente.settlement.totals import met
from entente.settlement.traffic import traffic_log

CHECK_S: Final = 0.5
"""Between two looks at the files."""
HOUR_NS: Final = 3_600_000_000_000
FAR_NS: Final = 1 << 63

Signature: TypeAlias = tuple[tuple[str, int, int, int], ...]
"""Of each file its path, time of change, size and number; zeros for one that is not there."""

_log = logging.getLogger("entente.agreement")


class _Noted(Folder):
    """A folder that remembers which of its files were read."""

    def __init__(self, folder: Path) -> None:
        """Take the folder."""
        super().__init__(folder)
        self.read_names: set[str] = set()

    def read(self, name: str) -> bytes:
        """Read a file, and note its name."""
        self.read_names.add(name)
        return super().read(name)


class Loaded(msgspec.Struct, frozen=True):
    """One state of the agreement."""

    enforcer: Enforcer
    version: str
    """Hash of the version that counts now; empty before the first."""
    again_ns: int
    """When to read everything anew: a period ends that triggers are read at, or something that
    the files already say becomes known; far away where neither lies ahead."""


class Agreements:
    """What the gateway asks: `gateway.agreed.Agreed`. Raises ConfigError where it cannot begin."""

    def __init__(
        self,
        config: Config,
        stated: AgreementConfig,
        count: Callable[[str], None],
        ledger: Place,
    ) -> None:
        """Read everything, and put it in force."""
        self._ledger = ledger
        self._config = config
        self._stated = stated
        self._count = count
        self._folder = _Noted(stated.file.parent)
        self._facts = facts_path(config)
        self.notice = ""
        """What is wrong with the files as they are now; the ones before them are in force."""
        self._loaded = self._load()
        self._signature = self._look()

    def allow(
        self, who: Principal, model: Model, api: Surface, *, stateful: bool, at_ns: int
    ) -> Allowed:
        """Give what is allowed of a model's targets. Raises AgreementForbids for nothing."""
        return self._loaded.enforcer.allow(who, model, api, stateful=stateful, at_ns=at_ns)

    async def watch(self) -> None:
        """Look at the files for as long as the server runs."""
        while True:
            await asyncio.sleep(CHECK_S)
            found = self._look()
            if found != self._signature or time.time_ns() >= self._loaded.again_ns:
                self._signature = found
                await self._renew()

    async def _renew(self) -> None:
        """Put the files as they are now in force, if they are in order."""
        try:
            loaded = await asyncio.to_thread(self._load)
        except (EntenteError, OSError) as error:
            self.notice = f"{error}"
            _log.error("the agreement stays as it was: %s", error)
            self._loaded = msgspec.structs.replace(
                self._loaded, again_ns=max(self._loaded.again_ns, time.time_ns() + HOUR_NS)
            )
            return
        self._loaded, self.notice = loaded, ""
        _log.warning("the agreement was read anew; version %s counts now", loaded.version)

    def _look(self) -> Signature:
        """Give the state of every file that counts."""
        folder = self._stated.file.parent
        paths = [folder / name for name in sorted(self._folder.read_names)]
        return tuple(_state(path) for path in (*paths, self._facts))

    def _load(self) -> Loaded:
        """Read the document, what has happened, and what totals came to."""
        stated = self._stated
        book = load(
            self._folder, stated.file.name, scenario=stated.scenario, values=stated.parameters
        )
        now_ns = time.time_ns()
        said = tuple(facts_of(self._facts, book))
        facts, again_ns = happened(
            book, said, lambda: traffic_log(self._ledger, said, traits_of(self._config)), now_ns
        )
        known_ns = [fact.known_ns for fact in said if fact.known_ns > now_ns]
        enforcer = Enforcer(
            Rules(book.foreseen(now_ns)),
            facts,
            traits_of(self._config),
            enforces=stated.mode is AgreementMode.ENFORCE,
            count=self._count,
        )
        version = book.at(now_ns, now_ns)
        again_ns = min((again_ns, *book.learns_ns(now_ns), *known_ns))
        return Loaded(enforcer, "" if version is None else version.hash, again_ns)


def facts_of(path: Path, book: Book) -> Iterator[AnyFact]:
    """Read what has been attested and told. Raises InvalidParameter for a bad line."""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as lines:
        yield from read_facts(lines, book.zone, name=str(path))


def happened(
    book: Book, said: Sequence[AnyFact], log: Callable[[], Log], now_ns: int
) -> tuple[Facts, int]:
    """Give what has been attested, which triggers totals have met, and when to look again."""
    readings: tuple[Reading, ...] = ()
    again_ns = FAR_NS
    if any(version.agreement.triggers for version in book.versions(now_ns)):
        readings, again_ns = met(book, log(), now_ns)
    facts = Facts(attestations=tuple(attestations_of(said)), readings=readings)
    return facts.known(now_ns), again_ns


def attestations_of(said: Iterable[AnyFact]) -> Iterator[Attestation]:
    """Give the attestations among facts."""
    return (_attestation(fact) for fact in said if isinstance(fact, Attested))


def _attestation(fact: Attested) -> Attestation:
    return Attestation(
        event=fact.event,
        by=fact.by,
        verdict=Verdict(fact.verdict),
        at_ns=fact.at_ns,
        known_ns=fact.known_ns,
        subject=fact.subject,
        evidence=fact.evidence,
    )


def _state(path: Path) -> tuple[str, int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return (str(path), 0, 0, 0)
    return (str(path), found.st_mtime_ns, found.st_size, found.st_ino)


async def open_agreements(
    config: Config,
    count: Callable[[str], None],
    place: Callable[[], Place],
    stack: contextlib.AsyncExitStack,
) -> Agreements:
    """Read the agreement and begin to watch it. Raises ConfigError where it is not in order."""
    if config.agreement is None:
        message = "no agreement is configured"
        raise ConfigError(message)
    agreements = Agreements(config, config.agreement, count, place())
    watcher = asyncio.get_running_loop().create_task(agreements.watch())

    async def close() -> None:
        watcher.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watcher

    stack.push_async_callback(close)
    return agreements
