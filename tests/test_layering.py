"""Imports point down, or sideways without a circle; library code neither prints nor knows the terminal."""

import ast
from pathlib import Path

import pytest

import xenp2m

SRC = Path(xenp2m.__file__).parent
MODULES = {
    ".".join(path.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__"): path
    for path in SRC.rglob("*.py")
    if path.parent != SRC or not path.name.startswith("__")
}
"""Every module but the package's own ``__init__`` and ``__main__``, which look at everything."""

LEVELS = {
    0: "display errors extents findings frames",
    1: "arrangement dom0_mem e820 entries host hostrow hypervisor kernel kernelconfig libxl_e820 logs m2p model "
    "options p2m runtable",
    2: "boot checks sources",
    3: "diagnosis explore export intake maps passthrough place plan reasons recover replay replay_input sizing "
    "suggest sweep",
    4: "views",
    5: "cli",
}
LEVEL = {name: level for level, names in LEVELS.items() for name in names.split()}

MAX_FILE, MAX_FUNCTION = 400, 40


def parse(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def is_type_checking(node):
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imports(tree, *, runtime=False):
    """Names of modules that are imported anywhere in a module; `runtime` leaves out those for types."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"line {node.lineno}: expected an absolute import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif runtime and is_type_checking(node):
            yield from imports(ast.Module(node.orelse, []), runtime=True)
        else:
            yield from imports(node, runtime=runtime)


def own(names):
    """Of some imported names, the modules of this package."""
    found = {name.removeprefix("xenp2m.") for name in names if name.startswith("xenp2m.")}
    return found & MODULES.keys()


def level(name):
    return LEVEL[name.split(".")[0]]


def circles(graph):
    """Modules from which a way leads back to themselves."""

    def reached(name):
        seen, todo = set(), [name]
        while todo:
            for following in graph[todo.pop()] - seen:
                seen.add(following)
                todo.append(following)
        return seen

    return {name for name in graph if name in reached(name)}


def test_every_module_has_a_level():
    assert {name.split(".")[0] for name in MODULES} == LEVEL.keys()


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_point_down(name):
    upwards = {other for other in own(imports(parse(MODULES[name]))) if level(other) > level(name)}
    assert not upwards


def test_no_circle():
    # A module's own package is loaded before it in any case.
    graph = {
        name: own(imports(parse(path), runtime=True)) - {name.rpartition(".")[0], name}
        for name, path in MODULES.items()
    }
    assert circles(graph) == set()
    assert sum(len(others) for others in graph.values()) > 50


def test_a_circle_is_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == {"b", "c"}
    tree = ast.parse("if TYPE_CHECKING:\n    import a\nelse:\n    import b\ndef f():\n    from c import d")
    assert list(imports(tree)) == ["a", "b", "c", "c.d"]
    assert list(imports(tree, runtime=True)) == ["b", "c", "c.d"]


@pytest.mark.parametrize("name", sorted(MODULES))
def test_only_the_command_knows_the_terminal(name):
    if level(name) == LEVEL["cli"]:
        return
    tree = parse(MODULES[name])
    assert not {other.split(".")[0] for other in imports(tree)} & {"click", "rich", "argparse", "tqdm"}
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert not [
        func.lineno for func in calls if isinstance(func, ast.Name) and func.id in {"print", "input", "exit"}
    ]
    parts = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    ]
    assert not [
        n.lineno for n in parts if n.value.id == "sys" and n.attr in {"argv", "exit", "stdout", "stderr"}
    ]


@pytest.mark.parametrize("path", sorted(SRC.rglob("*.py")), ids=lambda path: str(path.relative_to(SRC)))
def test_files_and_functions_are_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_FILE
    functions = (
        node for node in ast.walk(parse(path)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    )
    lengths = {node.name: node.end_lineno - node.lineno + 1 for node in functions}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_FUNCTION} == {}
