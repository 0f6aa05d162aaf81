"""A server with models in two currencies and one without a price, and keys of two projects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

from tests.support.noon import PRELUDE
from tests.support.server import EntenteServer, Key

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG: Final = """
[providers.main]
kind = "scripted"

[models.small]
targets = [{ provider = "main", model = "small" }]
price = { currency = "USD", per = "1M tokens", input = "1", cached_input = "0.5", output = "2" }

[models.large]
targets = [{ provider = "main", model = "large" }]
price = { currency = "EUR", per = "1M tokens", input = "3", cached_input = "1", output = "5" }

[models.late]
targets = [{ provider = "main", model = "late" }]
price = { currency = "EUR", per = "1M tokens", input = "3", cached_input = "1", output = "5" }

[models.free]
targets = [{ provider = "main", model = "free" }]
"""


class Stand(NamedTuple):
    """A running server, and two keys."""

    server: EntenteServer
    alpha: Key
    beta: Key


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """Start it."""
    server = EntenteServer(tmp_path_factory.mktemp("usage"), CONFIG, prelude=PRELUDE)
    alpha = server.make_key(project="alpha", name="a", user="ann")
    beta = server.make_key(project="beta", name="b", tags=("nightly",))
    with server:
        yield Stand(server, alpha, beta)
