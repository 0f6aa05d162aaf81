"""What stands on stored bytes, put together: files, uploads, and the batches that use them."""

from __future__ import annotations

import time
from collections.abc import Mapping

from entente.config import Config
from entente.domain.ids import Ids
from entente.http.files import Files
from entente.http.handler import Handler
from entente.http.uploads import Uploads
from entente.objects import Blobs, Objects


def file_handlers(
    config: Config, objects: Objects, blobs: Blobs, ids: Ids
) -> Mapping[str, Handler]:
    """Give the handlers of files and uploads."""
    kept = (objects, blobs, ids, time.time_ns)
    files = Files(*kept, bytes_max=config.files.bytes_max)
    uploads = Uploads(files, *kept, bytes_max=config.files.upload_bytes_max)
    return {**files.handlers(), **uploads.handlers()}
