"""Count the tree: ``make figures`` prints how long its parts are, how they hang together, what is said and tested.

Lengths count every line; a function's are those from its name to its end, its documentation included. Public is what
does not begin with an underscore, in modules that do not either.
"""

import ast
import re
import resource
import statistics
import subprocess
import sys
import tokenize
import tomllib
from pathlib import Path

from test_layering import MODULES, circles, imports, own, parse

TOP = Path(__file__).parent.parent
FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef


def lengths(paths):
    return sorted(len(path.read_text(encoding="utf-8").splitlines()) for path in paths)


def spread(numbers):
    return f"median {statistics.median(numbers):g}, nine of ten up to {numbers[len(numbers) * 9 // 10]}, longest {numbers[-1]}"


def functions(trees):
    return [node for tree in trees for node in ast.walk(tree) if isinstance(node, FUNCTION)]


def annotated(found):
    """Shares of parameters (self and cls left out) and of results that have a type."""
    given = [
        argument
        for function in found
        for argument in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
        if argument.arg not in ("self", "cls")
    ]
    typed = [argument for argument in given if argument.annotation]
    return len(typed) / len(given), len([f for f in found if f.returns]) / len(found)


def public(tree):
    """Public functions, classes and their methods."""
    for node in tree.body:
        if isinstance(node, FUNCTION | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from (n for n in node.body if isinstance(n, FUNCTION) and not n.name.startswith("_"))


def comments(paths):
    """Lines with a comment."""
    total = 0
    for path in paths:
        with path.open("rb") as file:
            total += sum(token.type == tokenize.COMMENT for token in tokenize.tokenize(file.readline))
    return total


def documentation(trees):
    """Lines of docstrings."""
    total = 0
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Module | ast.ClassDef | FUNCTION) and ast.get_docstring(node) is not None:
            total += node.body[0].end_lineno - node.body[0].lineno + 1
    return total


def collected():
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-o", "addopts="],
        cwd=TOP,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(re.search(r"(\d+) tests collected", run.stdout)[1])


def seconds(code):
    """Processor time of the quickest of five Pythons that do nothing but `code`."""
    used = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", code], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(used)


def figures():
    """What is counted and how much it is, row by row."""
    sources = sorted((TOP / "src").rglob("*.py"))
    tests = [*(TOP / "tests").rglob("*.py"), *(TOP / "tests_xen").rglob("*.py")]
    trees = [parse(path) for path in sources]
    found = functions(trees)
    sizes = sorted(f.end_lineno - f.lineno + 1 for f in found)
    lines, tested = lengths(sources), lengths(tests)
    told = [node for tree in trees for node in public(tree)]
    said = sum(ast.get_docstring(node) is not None for node in told) / len(told)
    parameters, results = annotated(found)
    graph = {
        name: own(imports(parse(path), runtime=True)) - {name.rpartition(".")[0], name}
        for name, path in MODULES.items()
    }
    without = [path for path in sources if "__all__" not in path.read_text(encoding="utf-8")]
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    bare = seconds("pass")
    yield "modules, lines", f"{len(sources)}, {sum(lines):,}: {spread(lines)}"
    yield (
        "functions, lines",
        f"{len(sizes):,}: mean {statistics.mean(sizes):.1f}, {spread(sizes)}, longer than 50: {sum(s > 50 for s in sizes)}",
    )
    yield "modules in circles of imports", str(len(circles(graph)))
    yield "modules without __all__", f"{len(without)}: {', '.join(sorted({path.name for path in without}))}"
    yield "types of parameters, of results", f"{parameters:.0%}, {results:.0%}"
    yield "public names with a docstring", f"{said:.0%} of {len(told):,}"
    yield (
        "lines of docstrings, of comments",
        f"{documentation(trees) / sum(lines):.0%}, {comments(sources) / sum(lines):.1%}",
    )
    yield "tests, lines for a line of code", f"{collected():,}, {sum(tested) / sum(lines):.2f}"
    yield (
        "dependencies, with all extras",
        f"{len(project['dependencies'])}, {len(project['dependencies']) + len(project['optional-dependencies'])}",
    )
    for code in ("import xenp2m", "import xenp2m; xenp2m.P2M"):
        yield code, f"{1000 * (seconds(code) - bare):.0f} ms beyond Python's own {1000 * bare:.0f} ms"


if __name__ == "__main__":
    for what, how_much in figures():
        print(f"{what:33} {how_much}")
