"""Metrics for Prometheus, named after OpenTelemetry's GenAI conventions where they apply.

Labels take values of the configuration only (models, targets) or of a closed set
(statuses, token classes), so their number is bounded. No label names a key.

Counting is on the request path, so it is plain integers in plain dictionaries, on one
event loop; they become Prometheus' families when they are scraped.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Final, TypeAlias

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from entente.domain.chat import Status
from entente.domain.usage import MEASURES, TOKEN_CLASSES, Usage

DURATION_BUCKETS_S: Final = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0,
)  # fmt: skip
CONTENT_TYPE: Final = b"text/plain; version=1.0.0; charset=utf-8"

_Counts: TypeAlias = dict[tuple[str, ...], int]
"""A count by the values of labels."""
_BOUNDS: Final = (*(repr(bound) for bound in DURATION_BUCKETS_S), "+Inf")


class _Served:
    """What came of the requests of one model."""

    __slots__ = ("buckets", "estimated", "statuses", "sum_s", "used")

    def __init__(self) -> None:
        self.statuses: dict[str, int] = defaultdict(int)
        self.used = [0] * (len(TOKEN_CLASSES) + len(MEASURES))
        """In the order of `Usage`'s fields."""
        self.estimated = 0
        self.buckets = [0] * len(_BOUNDS)
        """How many took how long."""
        self.sum_s = 0.0
        """How long all of them took."""


class Monitor(Collector):
    """Counts what happens. One per process; nothing global."""

    def __init__(self) -> None:
        """Start at zero."""
        self._served: dict[str, _Served] = defaultdict(_Served)
        """By model."""
        self._refused: _Counts = defaultdict(int)
        self._failed_over: _Counts = defaultdict(int)
        self._barred: _Counts = defaultdict(int)
        self._gauges: list[tuple[str, str, Callable[[], float]]] = []
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Add a gauge that is read when it is scraped."""
        self._gauges.append((name, text, read))

    def settled(
        self, model: str, status: Status, usage: Usage, *, estimated: bool, duration_s: float
    ) -> None:
        """Count a settled request."""
        served = self._served[model]
        served.statuses[status] += 1
        used = served.used
        for place, amount in enumerate(msgspec.structs.astuple(usage)):
            if amount:
                used[place] += amount
        served.estimated += estimated
        served.buckets[bisect_left(DURATION_BUCKETS_S, duration_s)] += 1
        served.sum_s += duration_s

    def refused(self, status: int) -> None:
        """Count a request that was answered with an error of ours."""
        self._refused[(str(status),)] += 1

    def failed_over(self, target: str) -> None:
        """Count a call that went on to the next target."""
        self._failed_over[(target,)] += 1

    def barred(self, model: str) -> None:
        """Count a request that the agreement bars, or, where it only reports, would bar."""
        self._barred[(model,)] += 1

    def render(self) -> bytes:
        """Write all metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Give all families; Prometheus' own interface."""
        model, target = "gen_ai_request_model", "target"
        served = list(self._served.items())
        yield _counter(
            "entente_requests",
            "Settled requests by model and terminal status.",
            (model, "status"),
            {(name, status): n for name, of in served for status, n in of.statuses.items()},
        )
        yield _counter(
            "entente_tokens",
            "Tokens by model and class; classes do not overlap.",
            (model, "gen_ai_token_type"),
            {
                (name, kind): tokens
                for name, of in served
                for kind, tokens in zip(TOKEN_CLASSES, of.used, strict=False)
                if tokens
            },
        )
        yield _counter(
            "entente_measured",
            "What is not counted in tokens, by model and measure.",
            (model, "measure"),
            {
                (name, kind): amount
                for name, of in served
                for kind, amount in zip(MEASURES, of.used[len(TOKEN_CLASSES) :], strict=True)
                if amount
            },
        )
        yield _counter(
            "entente_estimated_requests",
            "Settled requests whose usage is an upper bound, not the provider's report.",
            (model,),
            {(name,): of.estimated for name, of in served if of.estimated},
        )
        yield _counter(
            "entente_refused",
            "Requests answered with an error of the gateway, by HTTP status.",
            ("status",),
            self._refused,
        )
        yield _counter(
            "entente_failovers",
            "Calls that went on to the next target, by the target that failed.",
            (target,),
            self._failed_over,
        )
        yield _counter(
            "entente_agreement_barred",
            "Requests that the agreement bars, or would bar where it only reports.",
            (model,),
            self._barred,
        )
        durations = HistogramMetricFamily(
            "gen_ai_server_request_duration_seconds",
            "Time from the hold to the settlement.",
            labels=(model,),
        )
        for name, of in served:
            buckets = list(zip(_BOUNDS, accumulate(of.buckets), strict=True))
            durations.add_metric((name,), buckets, of.sum_s)
        yield durations
        for name, text, read in self._gauges:
            yield GaugeMetricFamily(name, text, value=read())


def _counter(name: str, text: str, labels: tuple[str, ...], counts: _Counts) -> CounterMetricFamily:
    """Make the family of a counter; Prometheus adds `_total` to its name."""
    family = CounterMetricFamily(name, text, labels=labels)
    for values, count in list(counts.items()):
        family.add_metric(values, count)
    return family
