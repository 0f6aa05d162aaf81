"""What stands on what clients store, put together: answers, files, uploads, and batches."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from entente.auth import KeyRing
from entente.config import Config, Validation
from entente.domain.principal import Principal
from entente.gateway.batches.asking import Asking
from entente.gateway.batches.executor import Executor, gives_way
from entente.gateway.batches.run import Shop
from entente.gateway.batches.slots import Places
from entente.gateway.counting import Counting
from entente.gateway.files import FileStore
from entente.gateway.keeping.keeping import Keeping, keeping_for
from entente.gateway.pipeline import Gateway
from entente.host import Around
from entente.http.batches import Batches
from entente.http.conversations import Conversations
from entente.http.files import Files
from entente.http.handler import Handler
from entente.http.message_batches import MessageBatches
from entente.http.neighbours import Neighbours
from entente.http.responses import Responses
from entente.http.stored_completions import StoredCompletions
from entente.http.uploads import Uploads
from entente.objects import Objects
from entente.policy.access import may_use


class Filed(NamedTuple):
    """The handlers of these routes, and the one that runs the batches."""

    handlers: dict[str, Handler]
    executor: Executor


def filed_of(
    config: Config,
    files: FileStore,
    gateway: Gateway,
    ring: Callable[[], KeyRing],
    around: Around,
    *,
    busy: Callable[[], int],
) -> Filed:
    """Put the parts together; no batch runs yet. `busy` counts requests of clients."""
    limits = config.batches

    def find_key(id: str) -> Principal | None:
        found = ring().named(id)
        return found if found is not None and found.key_id == id else None

    def has_model(key: str, model: str) -> bool:
        who = find_key(key)
        return who is not None and model in config.models and may_use(who, model)

    executor = Executor(
        Shop(
            files=files,
            asking=Asking(
                gateway,
                files.ids,
                find_key,
                limits.price_factor,
                around.running,
                drain_s=config.server.drain_s,
                is_strict=config.server.validation is Validation.STRICT,
            ),
            slots=Places(limits.requests_max),
            give_way=gives_way(busy, limits.gives_way_at),
            may_use=has_model,
            requests_max=limits.requests_max,
            line_bytes_max=config.server.body_bytes_max,
        )
    )
    neighbours, monitor = around.neighbours, around.monitor
    monitor.gauge("entente_batches", "Batches not yet ended.", lambda: executor.batches)
    monitor.gauge(
        "entente_batch_requests", "Requests of batches served now.", lambda: executor.requests
    )
    handlers = {
        **Files(files, bytes_max=config.files.bytes_max).handlers(),
        **Uploads(files, bytes_max=config.files.upload_bytes_max).handlers(),
        **neighbours.by_chief(Batches(files, executor).handlers()),
        **neighbours.by_chief(MessageBatches(files, executor).handlers()),
    }
    return Filed(handlers, executor)


async def keeping_of(
    config: Config,
    gateway: Gateway,
    objects: Objects,
    around: Around,
) -> Keeping:
    """Make what keeps answers, and end what a server that died was making."""
    keeping = keeping_for(
        gateway,
        objects,
        around.ids,
        time.time_ns,
        around.running,
        answers_days=config.storage.answers_days,
        drain_s=config.server.drain_s,
        worker=around.host.number,
    )
    await keeping.recover(of_all=around.host.is_first)
    around.monitor.gauge(
        "entente_background_responses",
        "Responses being made in the background.",
        lambda: keeping.running,
    )
    return keeping


def answer_handlers(
    gateway: Gateway,
    keeping: Keeping,
    counting: Counting,
    neighbours: Neighbours,
    *,
    is_strict: bool,
) -> Mapping[str, Handler]:
    """Give the handlers of responses, conversations and stored completions."""
    return {
        **StoredCompletions(keeping.objects).handlers(),
        **Responses(gateway, keeping, counting, neighbours, is_strict=is_strict).handlers(),
        **Conversations(keeping, time.time_ns, is_strict=is_strict).handlers(),
    }
