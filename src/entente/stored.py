"""What stands on what clients store, put together: answers, files, uploads, and batches."""

from __future__ import annotations

import time
from collections.abc import Mapping

from entente.config import Config
from entente.domain.ids import Ids
from entente.gateway.keeping.keeping import Keeping, keeping_for
from entente.gateway.pipeline import Gateway
from entente.http.conversations import Conversations
from entente.http.files import Files
from entente.http.handler import Handler
from entente.http.responses import Responses
from entente.http.stored_completions import StoredCompletions
from entente.http.uploads import Uploads
from entente.objects import Blobs, Objects
from entente.telemetry.metrics import Monitor


def file_handlers(
    config: Config, objects: Objects, blobs: Blobs, ids: Ids
) -> Mapping[str, Handler]:
    """Give the handlers of files and uploads."""
    kept = (objects, blobs, ids, time.time_ns)
    files = Files(*kept, bytes_max=config.files.bytes_max)
    uploads = Uploads(files, *kept, bytes_max=config.files.upload_bytes_max)
    return {**files.handlers(), **uploads.handlers()}


async def keeping_of(
    config: Config, gateway: Gateway, objects: Objects, ids: Ids, monitor: Monitor
) -> Keeping:
    """Make what keeps answers, and end what a server that died was making."""
    keeping = keeping_for(
        gateway, objects, ids, time.time_ns, answers_days=config.storage.answers_days
    )
    await keeping.recover()
    monitor.gauge(
        "entente_background_responses",
        "Responses being made in the background.",
        lambda: keeping.running,
    )
    return keeping


def answer_handlers(
    gateway: Gateway, keeping: Keeping, *, is_strict: bool
) -> Mapping[str, Handler]:
    """Give the handlers of responses, conversations and stored completions."""
    return {
        **StoredCompletions(keeping.objects).handlers(),
        **Responses(gateway, keeping, is_strict=is_strict).handlers(),
        **Conversations(keeping, time.time_ns).handlers(),
    }
