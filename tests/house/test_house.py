"""The rules of the house, on the tree as it is, and each on a source that breaks it."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from entente.domain import errors
from entente.domain.errors import EntenteError
from entente.http.routes import ROUTES
from entente.telemetry.metrics import Monitor
from tests.kit import house

LONG = "def f():\n" + "    x = 1\n" * house.FUNCTION_LINES_MAX


def test_sizes() -> None:
    """Small shapes: 500 lines a file, 70 a function, 40 for nineteen of twenty functions."""
    assert house.too_long(house.sources()) == []


def test_sizes_are_seen() -> None:
    """One line too many is found, in a file, in a function, and on the whole."""
    assert house.too_long({"a.py": "x = 1\n" * 501}) == ["a.py has 501 lines"]
    many = "def f():\n" + "    x = 1\n" * 40
    fine = "def g(): ...\n" * 400
    assert house.too_long({"a.py": "x = 1\n" * 500, "b.py": fine}) == []
    assert "a.py: f has 71 lines" in house.too_long({"a.py": LONG})
    assert house.too_long({"a.py": many}) == ["one function in twenty is too long"]
    assert house.too_long({"a.py": many, "b.py": fine}) == []


def _lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [program, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False
    )


def test_layers() -> None:
    """Imports point down, and the other contracts of pyproject.toml."""
    done = _lint_imports(house.ROOT)
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


def test_a_broken_layer_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same contract over a small made-up package that imports upwards."""
    package = tmp_path / "shop"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "low.py").write_text("from shop import high\n")
    (package / "high.py").write_text("")
    (tmp_path / "pyproject.toml").write_text(
        '[tool.importlinter]\nroot_package = "shop"\n[[tool.importlinter.contracts]]\n'
        'name = "down"\ntype = "layers"\nlayers = ["shop.high", "shop.low"]\n'
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = _lint_imports(tmp_path)
    assert done.returncode != 0
    assert "1 broken" in done.stdout


def test_every_package_stands_in_the_layers() -> None:
    """A new package has to find its place, or no contract would speak of it."""
    config = tomllib.loads((house.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (layers,) = [
        contract["layers"]
        for contract in config["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    ]
    placed = {name.strip() for layer in layers for name in layer.split("|")}
    there = {
        f"entente.{path.stem}"
        for path in house.SOURCE.iterdir()
        if path.stem != "__init__" and (path.suffix == ".py" or (path / "__init__.py").exists())
    }
    assert there - placed == set()


def test_imports_stand_at_the_top() -> None:
    """An import inside a function escapes a cycle; then the layer is wrong."""
    assert house.late_imports(house.sources()) == []


def test_late_imports_are_seen() -> None:
    """In plain and in nested functions; the command line may."""
    text = "def f():\n    def g():\n        import os\n"
    assert "a.py:3 imports inside f" in house.late_imports({"a.py": text})
    assert house.late_imports({"cli/a.py": text, "b.py": "import os\n"}) == []


def test_only_the_outer_boundaries_catch_everything() -> None:
    """Elsewhere an error that nobody thought of must not be swallowed."""
    assert house.catch_alls(house.sources()) == []
    assert set(house.sources()) >= house.CATCH_ALL


@pytest.mark.parametrize("kind", ["", " Exception", " (OSError, Exception)", " BaseException as e"])
def test_catch_alls_are_seen(kind: str) -> None:
    """In each spelling; cleaning up and raising again is fine."""
    text = f"try:\n    f()\nexcept{kind}:\n    g()\n"
    assert house.catch_alls({"a.py": text}) == ["a.py:3 catches everything"]
    assert house.catch_alls({"a.py": text + "    raise\n", "http/data_plane.py": text}) == []
    assert house.catch_alls({"a.py": text.replace(f"except{kind}", "except OSError")}) == []


def test_module_names_say_what_is_inside() -> None:
    """No utils, no helpers."""
    assert house.banned_names(house.sources()) == []
    assert house.banned_names(["net/utils.py", "helpers/a.py", "net/client.py"]) == [
        "net/utils.py",
        "helpers/a.py",
    ]


def test_everything_public_has_a_docstring() -> None:
    """As ruff demands too; here it holds for every rule that ruff leaves out."""
    assert house.without_docstring(house.sources()) == []
    text = '"""M."""\nclass A:\n    x = 1\ndef f(): ...\ndef _g(): ...\nclass _B: ...\n'
    assert house.without_docstring({"a.py": text, "b.py": ""}) == [
        "a.py: A has no docstring",
        "a.py: f has no docstring",
        "b.py has no docstring",
    ]


def test_every_test_file_checks_something() -> None:
    """A test that cannot fail is none."""
    assert house.checks_nothing(house.sources(house.TESTS)) == []
    assert house.checks_nothing(
        {
            "a/test_a.py": "def test_a():\n    f()\n",
            "test_b.py": "def test_b():\n    assert f()\n",
            "test_c.py": "def test_c():\n    with pytest.raises(E):\n        f()\n",
            "conftest.py": "",
        }
    ) == ["a/test_a.py"]


def test_every_test_file_has_a_name_of_its_own() -> None:
    """The test runner takes a file for another one of the same name, whatever their folders."""
    names = [Path(path).name for path in house.sources(house.TESTS)]
    tests = [name for name in names if name.startswith("test_")]
    assert [name for name in set(tests) if tests.count(name) > 1] == []


def _page(name: str) -> str:
    return (house.DOCS / name).read_text(encoding="utf-8")


def test_every_route_is_documented() -> None:
    """With its method, as a client writes it."""
    routes = [f"{route.method} {route.path.replace('*', '{id}')}" for route in ROUTES]
    assert house.unmentioned(routes, _page("api.md") + _page("admin-api.md")) == []


def test_every_error_is_documented() -> None:
    """By its name in the tree."""
    kinds = [
        name
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, EntenteError)
    ]
    assert len(kinds) > 30
    assert house.unmentioned(kinds, _page("api.md")) == []


def test_every_metric_is_documented() -> None:
    """Read off a scrape, and from the source for the gauges that `app` adds."""
    names = house.scraped_names(Monitor().render().decode()) + house.gauge_names(house.sources())
    assert {"entente_requests_total", "entente_inflight_requests"} <= set(names)
    assert house.unmentioned(names, _page("operations.md")) == []


def test_metrics_and_gaps_are_seen() -> None:
    """A page mentions only what is in back ticks."""
    text = 'monitor.gauge(\n    "b", "Text.", f\n)\nother("c")\n'
    assert house.gauge_names({"a.py": text}) == ["b"]
    assert house.scraped_names("# HELP a A.\n# TYPE a counter\na 1\n") == ["a"]
    page = "`GET /a` and `b` or c; `d e`"
    assert house.unmentioned(["GET /a", "b", "c", "d", "f"], page) == ["c", "f"]


def test_every_claim_has_a_command() -> None:
    """A claim that nobody can check is advertising."""
    page = _page("claims.md")
    assert house.claims_without_command(page) == []
    assert "|" in page
    table = "| claim | command |\n|---|---|\n| fast | `make bench` |\n| good | trust us |\n"
    assert house.claims_without_command(table) == [["good", "trust us"]]


def test_every_module_can_be_imported_alone() -> None:
    """Importing has no effect, and no module needs another to have been imported before."""
    for name in house.sources():
        if not name.endswith("__main__.py"):
            module = "entente." + name.removesuffix(".py").replace("/", ".")
            assert importlib.import_module(module.removesuffix(".__init__")).__doc__
