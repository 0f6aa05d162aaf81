"""Metrics for Prometheus, named after OpenTelemetry's GenAI conventions where they apply.

Labels take values of the configuration only (models, targets) or of a closed set
(statuses, token classes), so their number is bounded. No label names a key.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from entente.domain.chat import Status
from entente.domain.usage import TOKEN_CLASSES, Usage

DURATION_BUCKETS_S: Final = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0,
)  # fmt: skip
CONTENT_TYPE: Final = b"text/plain; version=1.0.0; charset=utf-8"


class Monitor:
    """Counts what happens. One per process; nothing global."""

    def __init__(self) -> None:
        """Register every metric, so that a scrape shows them all from the start."""
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "entente_requests_total",
            "Settled requests by model and terminal status.",
            ("gen_ai_request_model", "status"),
            registry=self._registry,
        )
        self._tokens = Counter(
            "entente_tokens_total",
            "Tokens by model and class; classes do not overlap.",
            ("gen_ai_request_model", "gen_ai_token_type"),
            registry=self._registry,
        )
        self._estimated = Counter(
            "entente_estimated_requests_total",
            "Settled requests whose usage is an upper bound, not the provider's report.",
            ("gen_ai_request_model",),
            registry=self._registry,
        )
        self._duration = Histogram(
            "gen_ai_server_request_duration_seconds",
            "Time from the hold to the settlement.",
            ("gen_ai_request_model",),
            buckets=DURATION_BUCKETS_S,
            registry=self._registry,
        )
        self._refusals = Counter(
            "entente_refused_total",
            "Requests refused before a hold, by HTTP status.",
            ("status",),
            registry=self._registry,
        )
        self._failovers = Counter(
            "entente_failovers_total",
            "Calls that went on to the next target, by the target that failed.",
            ("target",),
            registry=self._registry,
        )
        self._settled: dict[tuple[str, Status], Callable[[], None]] = {}
        self._counted: dict[tuple[str, str], Counter] = {}
        self._timed: dict[str, Histogram] = {}

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Add a gauge that is read when it is scraped."""
        Gauge(name, text, registry=self._registry).set_function(read)

    def settled(
        self, model: str, status: Status, usage: Usage, *, estimated: bool, duration_s: float
    ) -> None:
        """Count a settled request."""
        count = self._settled.get((model, status))
        if count is None:
            count = self._requests.labels(model, status).inc
            self._settled[model, status] = count
            self._timed[model] = self._duration.labels(model)
        count()
        self._timed[model].observe(duration_s)
        if estimated:
            self._estimated.labels(model).inc()
        for name in TOKEN_CLASSES:
            tokens = getattr(usage, name)
            if tokens:
                self._tokens_of(model, name).inc(tokens)

    def refused(self, status: int) -> None:
        """Count a request that came to no hold."""
        self._refusals.labels(str(status)).inc()

    def failed_over(self, target: str) -> None:
        """Count a call that went on to the next target."""
        self._failovers.labels(target).inc()

    def render(self) -> bytes:
        """Write all metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def _tokens_of(self, model: str, name: str) -> Counter:
        """Give the counter of a token class, looked up once."""
        counter = self._counted.get((model, name))
        if counter is None:
            counter = self._counted[model, name] = self._tokens.labels(model, name)
        return counter
