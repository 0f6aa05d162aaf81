"""Reports of simulations: quantiles, milestones, sweeps, tables, charts, and the command."""

from __future__ import annotations

import csv
import io
import struct
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from entente.agreement.paths.engine import simulate
from entente.agreement.paths.read import read
from entente.agreement.paths.summary import PER_CENT, band, quantiles
from entente.cli.root import run
from entente.config.agreements import Folder, load_agreement
from entente.settlement.charts import charts, page, picture
from entente.settlement.simulation import Report, Simulation, decimal, tables
from tests.agreement.paths.oracle import compare

LIBRARY = Path(__file__).parents[2] / "examples" / "agreements"
OUTCOMES = LIBRARY / "three-outcomes"
PRESETS = sorted(path.stem for path in OUTCOMES.glob("paths/*.yaml"))
PNG = b"\x89PNG\r\n\x1a\n"


def _report(name: str, *, paths: int = 200, seed: int | None = None) -> Report:
    path = OUTCOMES / "paths" / f"{name}.yaml"
    source = Folder(OUTCOMES)
    return Simulation(
        source, "agreement.yaml", path.read_bytes(), path.name, paths=paths, seed=seed
    ).run()


@pytest.fixture(scope="module")
def compromise() -> Report:
    """One report for several tests."""
    return _report("compromise")


def test_the_presets_are_the_three_outcomes() -> None:
    """Compromise, looser deal, separation."""
    assert PRESETS == ["compromise", "looser", "separation"]


@pytest.mark.parametrize("name", PRESETS)
def test_presets_equal_the_exact_engine(name: str) -> None:
    """Their first steps, on some paths."""
    plan, _ = read((OUTCOMES / "paths" / f"{name}.yaml").read_bytes(), name, paths=9)
    outline = msgspec.structs.replace(plan.scenario, steps=7)
    book = load_agreement(OUTCOMES / "agreement.yaml", scenario=name)
    assert compare(book, msgspec.structs.replace(plan, scenario=outline), range(2, 9, 3)) >= 15


def test_what_sets_the_outcomes_apart() -> None:
    """In a compromise the share stops at its cap; after a separation the cloud is out early."""
    ends = {name: _report(name).summary for name in PRESETS}
    caps = {name: [use.cap for use in summary.caps] for name, summary in ends.items()}
    assert caps == {"compromise": [38 * 10**11], "looser": [], "separation": []}
    cloud = {
        name: next(each.received for each in summary.parties if each.party == "cloud")
        for name, summary in ends.items()
    }
    assert max(cloud["separation"].p95) < max(cloud["compromise"].p50)
    most = {(m.clause, m.what): m.amount for m in ends["separation"].milestones}
    assert most[("W1", "recoup ends")] == 26 * 10**11


def test_quantiles_are_numbers_of_paths() -> None:
    """The least number that has so many of the paths at or below it."""
    table = np.arange(1, 101)[::-1].reshape(100, 1)
    assert quantiles(table)[:, 0].tolist() == list(PER_CENT)
    assert quantiles(np.array([[7], [9]]))[:, 0].tolist() == [7, 7, 7, 9, 9]
    found = band(np.array([[-1], [0], [2]]))
    assert (found.p50, found.mean) == ((0,), (0,))
    huge = np.full((10, 1), 2**62)
    assert band(huge).mean == (2**62,)


def test_a_milestone_stays_reached(compromise: Report) -> None:
    """Counts never fall, and the quantile's step is the first with so many paths."""
    summary = compromise.summary
    assert {each.kind for each in summary.milestones} == {"tier", "cap", "commitment"}
    for each in summary.milestones:
        assert list(each.reached) == sorted(each.reached)
        half = each.when[PER_CENT.index(50)]
        if half is None:
            assert each.reached[-1] < summary.paths / 2
        else:
            place = summary.steps.index(half)
            assert each.reached[place] >= summary.paths / 2
            assert place == 0 or each.reached[place - 1] < summary.paths / 2


def test_breakpoints_are_exact(compromise: Report) -> None:
    """Those of the public example, in cents."""
    found = [bend.profit for bend in compromise.summary.bends]
    assert found == ["0", "5200000000000/3", "3014800000000000/147", "1541600000000000/49"]


def test_sweeps_vary_one_thing(compromise: Report) -> None:
    """More margin, more for the cloud; what it does not depend on changes nothing."""
    sweeps = {sweep.id: sweep for sweep in compromise.sensitivity}
    low, high = (each.received for each in sweeps["margin"].varied)
    assert all(less <= more for less, more in zip(low, high, strict=True))
    assert low != high
    assert {each.received for each in sweeps["spend"].varied} == {sweeps["spend"].as_planned}


def test_a_parameter_of_the_agreement_can_be_swept() -> None:
    """Both readings of the public agreement's cap, in one report."""
    folder = LIBRARY / "microsoft-openai"
    text = """
scenario: {id: readings, title: Readings, uses: cap_after_recoup, begins: 2023-Q2, steps: 9,
           paths: 1, seed: 0, watch: microsoft}
streams:
- {id: profit, kind: listed, attributes: {kind: profit}, amounts: ["400e9"]}
sweeps: [{id: counts, parameter: cap_counts_from, values: [shared, inception]}]
"""
    report = Simulation(Folder(folder), "agreement.yaml", text.encode(), "s.yaml").run()
    after, including = (each.received[0] for each in report.sensitivity[0].varied)
    assert (after, including) == (105 * 10**15, 92 * 10**15)
    assert "O1: stakes are not simulated" not in report.summary.left_out
    assert "openai_revenue: no stream counts towards this base" in report.summary.left_out


def test_the_same_seed_gives_the_same_bytes(compromise: Report) -> None:
    """And another one others."""
    assert _report("compromise").to_json() == compromise.to_json()
    assert _report("compromise", seed=5).to_json() != compromise.to_json()
    assert msgspec.json.decode(compromise.to_json(), type=Report) == compromise


def test_tables_say_what_the_report_does(compromise: Report) -> None:
    """Decimals of whole currency, exactly."""
    found = {
        name: list(csv.DictReader(io.StringIO(text))) for name, text in tables(compromise).items()
    }
    last = [row for row in found["payouts.csv"] if row["party"] == "cloud"][-1]
    cloud = next(each.received for each in compromise.summary.parties if each.party == "cloud")
    assert last["p50"] == decimal(cloud.p50[-1], 2)
    assert len(found["commitments.csv"]) == len(compromise.summary.steps)
    assert {row["sweep"] for row in found["sensitivity.csv"]} >= {"margin", "spend"}
    assert [decimal(-5, 2), decimal(123456, 2), decimal(7, 0)] == ["-0.05", "1234.56", "7"]


def test_charts_say_their_finding(compromise: Report) -> None:
    """One for each thing that there is to show, its title a sentence with the number in it."""
    drawn = {chart.name: chart.title for chart in charts(compromise)}
    assert set(drawn) == {
        "payouts", "ladder-W1", "milestones", "cap-S1", "commitment-K1", "sensitivity",
    }  # fmt: skip
    assert drawn["ladder-W1"] == "W1: the split changes at $17.3bn, $205bn and $315bn of profit"
    assert "S1, cap exhausted: half of the paths by 20" in drawn["cap-S1"]
    first = picture(next(iter(charts(compromise))))
    assert first.startswith(PNG)
    assert min(struct.unpack(">II", first[16:24])) > 600


def test_the_page_needs_nothing_but_itself(compromise: Report) -> None:
    """No address is fetched; text of a scenario cannot become part of the page's code."""
    outline = msgspec.structs.replace(
        compromise.scenario, title="<script>alert(1)</script>", note="</script><b>"
    )
    names = compromise.names | {"cloud": "</script><script>alert(2)</script>"}
    sly = msgspec.structs.replace(compromise, scenario=outline, names=names)
    text = page(sly, charts(sly))
    assert text.count("</script>") == 2
    before, data, library = text.partition('<script type="application/json" id="charts">')
    specs, _, library = library.partition("</script>")
    assert data
    assert "<" not in specs
    assert [name for name, _ in msgspec.json.decode(specs)] == [c.name for c in charts(sly)]
    assert "vega" in library
    assert "&lt;script&gt;alert(1)" in before
    for way in ("src=", "<link", "@import", "url(", "<script"):
        assert way not in before


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Shows, and writes what it says it writes."""
    asked = [
        "agreement", "simulate", str(OUTCOMES / "agreement.yaml"),
        "--scenario", str(OUTCOMES / "paths" / "compromise.yaml"),
        "--paths", "100", "--out", str(tmp_path / "out"),
    ]  # fmt: skip
    assert run(asked) == 0
    said = capsys.readouterr().out
    assert "S1: cap exhausted" in said
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"report.json", "payouts.csv", "charts.html", "payouts.png"} <= names
    report = msgspec.json.decode((tmp_path / "out" / "report.json").read_bytes(), type=Report)
    assert report.summary.paths == 100
    cloud = next(each.received for each in report.summary.parties if each.party == "cloud")
    assert f" {cloud.p50[-1] // 100:,}.{cloud.p50[-1] % 100:02d} " in said
    assert run([*asked[:-2], "--json"]) == 0
    assert msgspec.json.decode(capsys.readouterr().out, type=Report) == report


def test_the_command_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The extra with its command, and a scenario that is not there."""
    document = str(OUTCOMES / "agreement.yaml")
    assert run(["agreement", "simulate", document, "--scenario", str(tmp_path / "no.yaml")]) == 1
    assert "no.yaml cannot be read" in capsys.readouterr().err
    scenario = str(OUTCOMES / "paths" / "looser.yaml")
    for name in [name for name in sys.modules if name.startswith("entente.settlement.charts")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "altair", None)
    asked = ["agreement", "simulate", document, "--scenario", scenario, "--paths", "5"]
    assert run([*asked, "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert "pip install 'entente[agreement]'" in said
    assert "make agreement" in said
    assert run(asked) == 0


def test_an_agreement_that_has_not_begun_is_refused() -> None:
    """There is nothing to simulate then."""
    text = (OUTCOMES / "paths" / "looser.yaml").read_text().replace("2025-Q1", "2001-Q1")
    plan, _ = read(text.encode(), "s.yaml", paths=1)
    book = load_agreement(OUTCOMES / "agreement.yaml", scenario="looser")
    with pytest.raises(Exception, match="does not count before the end of 2010-Q4"):
        simulate(book, plan)
