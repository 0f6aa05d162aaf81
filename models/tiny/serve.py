"""Serve a GGUF with the real runtime, for the evaluation.

``with serving(Path("entente-tiny.gguf")) as address: ...``
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import xllamacpp

CONTEXT = 2048


@contextmanager
def serving(model: Path, slots: int = 2) -> Iterator[str]:
    """The address of an HTTP server that runs the model, ``slots`` requests at a time."""
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_ctx = CONTEXT * slots
    params.n_parallel = slots
    params.n_gpu_layers = 0
    params.cache_ram_mib = 0
    params.fit_params = False
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 2
    params.verbosity = 0
    server = xllamacpp.Server(params)
    try:
        yield server.listening_address
    finally:
        del server
