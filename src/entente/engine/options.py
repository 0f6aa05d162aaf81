"""The values that the supervisor takes and gives: options, endpoint and state."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from entente.domain.secret import Secret
from entente.engine.model import BUILTIN_MODEL


@dataclass(frozen=True, slots=True)
class RuntimeOptions:
    """How to run one model. Every bound of the runtime is a field, its unit last."""

    model_path: Path
    log_path: Path
    context_tokens: int = 2_048
    """Context of one request; the child reserves this times `parallel`."""
    parallel: int = 8
    """Requests decoded in one batch; more wait in the child's queue."""
    threads: int = 1
    """Threads that compute. More than one pays only for models far above the built-in
    one's size and with cores to spare: on two busy cores, two threads were slower."""
    connections_max: int = 256
    """Connections served at once, idle ones included; llama.cpp gives each a thread."""
    prompt_cache_mib: int = 64
    """Memory for the prefixes of earlier prompts; llama.cpp's own default is 8 GiB."""
    temperature: float = 0.0
    """Used when the request names none; 0 makes answers repeatable."""
    alias: str = BUILTIN_MODEL
    """The name under which the child lists the model."""
    start_timeout_s: float = 60.0
    """From spawn to ready; past it the child is killed and started again."""
    stop_timeout_s: float = 2.0
    """From SIGTERM to SIGKILL."""
    backoff_ms_min: int = 100
    backoff_ms_max: int = 10_000
    stable_s: float = 30.0
    """Ready for so long, the next failure counts as the first again."""
    health_interval_s: float = 5.0
    health_timeout_s: float = 30.0
    """Alive but silent on /health for so long, the child is killed and started again."""
    log_bytes_max: int = 4 * 1024 * 1024
    """Past it the log is moved to `<log_path>.1` at a start and cut while running."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the running child serves. Both values change with each start."""

    base_url: str
    api_key: Secret


class Phase(StrEnum):
    """Where the runtime is in its life."""

    STARTING = "starting"
    READY = "ready"
    BACKING_OFF = "backing_off"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class RuntimeState:
    """What an operator needs to see.

    `restarts` counts all restarts since `start`, `failures` those since the child
    was last stable: a crash loop is a growing `failures`. `failed` is final: the
    child said that it cannot serve this model and never had been ready.
    """

    phase: Phase
    restarts: int
    failures: int
    pid: int | None
    last_error: str | None
