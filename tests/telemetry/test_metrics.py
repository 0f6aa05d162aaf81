"""Metrics: what was counted is what is scraped."""

from __future__ import annotations

from entente.domain.chat import Status
from entente.domain.usage import Usage
from entente.telemetry.metrics import Monitor


def _scrape(monitor: Monitor) -> dict[str, float]:
    lines = monitor.render().decode().splitlines()
    samples = [line.rsplit(" ", 1) for line in lines if line and not line.startswith("#")]
    return {name: float(value) for name, value in samples}


def test_requests_tokens_and_times() -> None:
    """By model, status and class; a request without an estimate does not count as one."""
    monitor = Monitor()
    usage = Usage(input=3, cache_read=2, output=5)
    for estimated in (False, True):
        monitor.settled("m", Status.COMPLETE, usage, estimated=estimated, duration_s=0.3)
    monitor.settled("m", Status.FAILED, Usage(), estimated=False, duration_s=400)
    found = _scrape(monitor)
    model = 'gen_ai_request_model="m"'
    assert found[f'entente_requests_total{{{model},status="complete"}}'] == 2
    assert found[f'entente_requests_total{{{model},status="failed"}}'] == 1
    assert found[f"entente_estimated_requests_total{{{model}}}"] == 1
    tokens = {
        name: found[f'entente_tokens_total{{{model},gen_ai_token_type="{name}"}}']
        for name in ("input", "cache_read", "output")
    }
    assert tokens == {"input": 6, "cache_read": 4, "output": 10}
    name = "gen_ai_server_request_duration_seconds"
    assert found[f"{name}_count{{{model}}}"] == 3
    assert found[f'{name}_bucket{{{model},le="0.5"}}'] == 2
    assert found[f'{name}_bucket{{{model},le="0.25"}}'] == 0
    assert found[f'{name}_bucket{{{model},le="300.0"}}'] == 2
    assert found[f'{name}_bucket{{{model},le="+Inf"}}'] == 3


def test_refusals_failovers_and_gauges() -> None:
    """Gauges are read when they are scraped, not before."""
    monitor, value = Monitor(), [1.0]
    monitor.gauge("entente_test", "A test.", lambda: value[0])
    monitor.refused(429)
    monitor.refused(429)
    monitor.failed_over("p/m")
    value[0] = 7.0
    found = _scrape(monitor)
    assert found['entente_refused_total{status="429"}'] == 2
    assert found['entente_failovers_total{target="p/m"}'] == 1
    assert found["entente_test"] == 7


def test_labels_are_escaped() -> None:
    """A model may be named as its owner likes."""
    monitor = Monitor()
    monitor.settled('a"b\\c\nd', Status.COMPLETE, Usage(), estimated=False, duration_s=0)
    assert 'gen_ai_request_model="a\\"b\\\\c\\nd"' in monitor.render().decode()


def test_two_monitors_do_not_share_anything() -> None:
    """Nothing global: two servers in one process count for themselves."""
    first, second = Monitor(), Monitor()
    first.refused(400)
    assert 'entente_refused_total{status="400"}' not in _scrape(second)
