"""What a model does in a test, whichever vendor serves it; and what was asked of it.

A request names its scene in the user's last text, `scene:NAME`. Usage is in classes that do
not overlap; what of all this a vendor's API can tell is the stand-in's `tells`.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any, Final

import msgspec

from entente.domain.inference import Stop
from entente.domain.usage import Usage

MARK: Final = re.compile(r"scene:([a-z_]+)")


class Break(StrEnum):
    """How an answer breaks off in the middle."""

    EVENT = "event"
    """The vendor says so in its stream."""
    CUT = "cut"
    """The connection is gone."""
    EOF = "eof"
    """The HTTP body ends properly, the answer does not."""


class Called(msgspec.Struct, frozen=True):
    """A call of a tool; its arguments arrive in pieces where the vendor can do that."""

    name: str
    pieces: tuple[str, ...]

    @property
    def arguments(self) -> Any:
        """The arguments as JSON."""
        return msgspec.json.decode("".join(self.pieces) or "{}")


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of a model."""

    thoughts: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    calls: tuple[Called, ...] = ()
    stop: Stop = Stop.END
    stop_sequence: str | None = None
    usage: Usage = Usage(input=11, output=7)
    breaks: Break | None = None
    status: int = 200
    """Another one is an error before the answer."""
    waits: bool = False
    """A stream waits before its end until the stand-in is told to go on."""

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.texts)


_PARIS: Final = Called("get_weather", ('{"ci', 'ty":"Pa', 'ris é"}'))
_ROME: Final = Called("get_weather", ('{"city":', '"Rome"', "}"))
_TEXTS: Final = ("Grüße, ", 'W"elt\\!\n', "\U0001f600 ", "one", " two", " three")

SCENES: Final = {
    "text": Scene(texts=_TEXTS),
    "thinking": Scene(
        thoughts=("Hm, ", "so."), texts=("Ah.",), usage=Usage(input=11, output=4, reasoning=6)
    ),
    "one_tool": Scene(calls=(_PARIS,), stop=Stop.TOOL_CALLS),
    "bare_tool": Scene(calls=(Called("look", ()),), stop=Stop.TOOL_CALLS),
    "parallel": Scene(texts=("Let me ", "look."), calls=(_PARIS, _ROME), stop=Stop.TOOL_CALLS),
    "json": Scene(texts=('{"city":', '"Paris"}')),
    "length": Scene(texts=("one", " two"), stop=Stop.LENGTH),
    "stop_sequence": Scene(texts=("one ",), stop=Stop.STOP_SEQUENCE, stop_sequence="END"),
    "filtered": Scene(texts=("I must",), stop=Stop.FILTERED),
    "cached": Scene(
        texts=("ok",),
        usage=Usage(input=8, cache_read=32, cache_write=4, output=5, reasoning=2),
    ),
    **{f"breaks_by_{how.value}": Scene(texts=_TEXTS, breaks=how) for how in Break},
    "breaks_in_a_call": Scene(calls=(_PARIS, _ROME), stop=Stop.TOOL_CALLS, breaks=Break.EVENT),
    "waits": Scene(texts=_TEXTS, waits=True),
    "refuses": Scene(status=400),
    "limits": Scene(status=429),
    "fails": Scene(status=500),
}


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What of a scene a vendor's API tells."""

    thought: str = ""
    stop: Stop
    stop_sequence: str | None = None
    usage: Usage


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request as the vendor understood it.

    `said` is the conversation, flat: who, what kind of part, and its content. `settings` are
    the parameters under OpenAI's names.
    """

    model: str
    stream: bool
    surface: str = "chat"
    """Which of the vendor's APIs was asked, where it has several."""
    said: tuple[tuple[Any, ...], ...]
    system: str = ""
    tools: tuple[tuple[str, Any], ...] = ()
    """Names and schemas."""
    choice: str | None = None
    """`auto`, `any`, `none`, or the name of a tool."""
    form: Any = None
    """The JSON schema of the answer, or `object` for any."""
    settings: dict[str, Any] = {}

    @property
    def scene(self) -> str:
        """The name of the scene that is to be played."""
        texts = [part[2] for part in self.said if part[:2] == ("user", "text")]
        found = MARK.search(texts[-1] if texts else self.system)
        return found[1] if found else "text"


def results_fit(said: tuple[tuple[Any, ...], ...]) -> bool:
    """Say whether every result of a tool belongs to a call before it."""
    called: set[str] = set()
    for _, kind, *content in said:
        if kind == "call":
            called.add(content[0])
        elif kind == "result" and content[0] not in called:
            return False
    return True


def given(**settings: Any) -> dict[str, Any]:
    """Leave out what was not set."""
    return {name: value for name, value in settings.items() if value is not None}
