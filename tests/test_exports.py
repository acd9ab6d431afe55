"""What each module offers, and what ``import xenp2m`` costs."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import xenp2m

SRC = Path(xenp2m.__file__).parent
NAMES = [
    ".".join(("xenp2m", *path.relative_to(SRC).with_suffix("").parts)).removesuffix(".__init__")
    for path in sorted(SRC.rglob("*.py"))
    if path.name != "__main__.py"
]
PACKAGES = {
    "xenp2m.boot",
    "xenp2m.checks",
    "xenp2m.diagnosis",
    "xenp2m.explore",
    "xenp2m.export",
    "xenp2m.logs",
    "xenp2m.maps",
    "xenp2m.model",
    "xenp2m.sources",
    "xenp2m.sources.core",
    "xenp2m.sources.stream",
    "xenp2m.sweep",
    "xenp2m.views",
    "xenp2m.views.page",
    "xenp2m.views.plots",
}
"""Packages that only hold modules."""


@pytest.mark.parametrize("name", NAMES)
def test_all_names_resolve(name):
    module = import_module(name)
    if name in PACKAGES:
        assert len(Path(module.__file__).read_text(encoding="utf-8").splitlines()) <= 1
        return
    offered = module.__all__
    assert offered
    assert len(set(offered)) == len(offered)
    for each in offered:
        assert getattr(module, each) is not None
    if name != "xenp2m":
        assert "_" not in {each[0] for each in offered}


def test_the_package_offers_few_names_from_their_homes():
    assert len(xenp2m.__all__) <= 30
    assert set(xenp2m.__all__) == xenp2m._HOMES.keys()
    for name, home in xenp2m._HOMES.items():
        module = import_module(f"xenp2m.{home}")
        assert name in module.__all__
        assert getattr(xenp2m, name) is getattr(module, name)
    assert set(xenp2m.__all__) < set(dir(xenp2m))


def test_type_checkers_see_what_the_table_says():
    tree = ast.parse((SRC / "__init__.py").read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    told = {
        alias.name: node.module.removeprefix("xenp2m.")
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert told == xenp2m._HOMES


def test_unknown_names_are_refused():
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = xenp2m.Nonsense


@pytest.mark.parametrize(
    "code", ["import xenp2m", "import xenp2m; xenp2m.Host; xenp2m.Release; xenp2m.sanitize"]
)
def test_import_loads_nothing_heavy(code):
    told = "print(*(m for m in ('numpy', 'click', 'rich', 'xenp2m.plan') if m in sys.modules))"
    run = subprocess.run(
        [sys.executable, "-c", f"import sys; {code}; {told}"], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == ""
