"""Write what commands print into the documents: ``make docs``.

In Markdown, the code block behind ``<!-- output of: COMMAND -->`` is replaced by the command and what
it prints at 80 columns, and the picture behind ``<!-- picture of: COMMAND -->`` by what it draws.
The example notebook is executed.
``docs/findings.md`` is written from the catalogue, ``docs/commands.md`` from the help. With ``--check``
nothing is written and the status says whether everything is up to date; ``make judge`` is left to
``tests/test_judge.py`` then, which runs it file by file.
"""

from __future__ import annotations

import json
import lzma
import os
import re
import shlex
import subprocess
import sys
import tempfile
import textwrap
import traceback
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from executed import executed
from helptext import commands_page

from xenp2m.boot.select import ERAS
from xenp2m.checks.stories import STORIES
from xenp2m.cli import main
from xenp2m.findings import Severity
from xenp2m.model.rules import RULES

if TYPE_CHECKING:
    from collections.abc import Callable

TOP = Path(__file__).parent.parent
PICTURE = re.compile(r"<!-- picture of: (.+?) -->\n!\[.*?\]\((.+?)\)")
LIST = re.compile(r"(<!-- list of: schemas -->\n).*?(<!-- end of list -->)", re.DOTALL)
BLOCK = re.compile(r"(<!-- output of: (.+?) -->\n```\n)(.*?)(```\n)", re.DOTALL)


@cache
def output(command: str) -> str:
    """What a command of the documents prints; ``xz -dc FILE | COMMAND`` reads a packed file of the tests."""
    packed, _, command = command.rpartition(" | ")
    given = lzma.decompress((TOP / packed.removeprefix("xz -dc ")).read_bytes()) if packed else b""
    words = shlex.split(command)
    if words[0] == "xenp2m":
        return _printed(lambda: main(words[1:]), command, given)
    if words[:2] == ["python3", "xenp2m.pyz"]:
        return _printed(lambda: _of_zipapp(words[2:]), command, given)
    if words == ["make", "judge"]:
        return _printed(lambda: os.execv(sys.executable, [sys.executable, "tests/judge.py"]), command, given)
    raise SystemExit(f"{command}: expected xenp2m, python3 xenp2m.pyz or make judge")


def _of_zipapp(arguments: list[str]) -> None:
    """Become the zipapp, made for this in a place of its own."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "xenp2m.pyz")
        for words in (["-m", "release.pyz", str(file)], [str(file), *arguments]):
            quiet = subprocess.DEVNULL if words[0] == "-m" else None
            subprocess.run([sys.executable, *words], stdout=quiet, check=True)


def _printed(called: Callable[[], object], command: str, given: bytes) -> str:
    """What a call prints in a process of its own, which needs no new Python, at 80 columns."""
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        stdin.write(given)
        stdin.seek(0)
        child = os.fork()
        if not child:
            _become(called, (stdin.fileno(), out.fileno(), err.fileno()))
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        out.seek(0)
        err.seek(0)
        said = err.read().decode()
        if status not in (0, 1) or said:
            raise SystemExit(f"{command}: status {status}\n{said}")
        return out.read().decode()


def _become(called: Callable[[], object], streams: tuple[int, int, int]) -> NoReturn:
    """Call, in a child, and exit as a command does."""
    status: object = 70
    try:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        sys.stdout.reconfigure(encoding="utf-8")
        os.chdir(TOP)
        os.environ |= {"COLUMNS": "80", "PYTHONIOENCODING": "utf-8", "NO_COLOR": "1"}
        called()
        status = 0
    except SystemExit as stop:
        status = stop.code
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status if isinstance(status, int) else 0)


def shown(command: str) -> str:
    """A command as one types it; a long one goes on in the next line."""
    lines = textwrap.wrap(f"$ {command}", 78, break_long_words=False, break_on_hyphens=False)
    folded = " \\\n    ".join(lines)
    return (folded if shlex.split(folded) == shlex.split(f"$ {command}") else f"$ {command}") + "\n"


def pictures(text: str, beside: Path = TOP) -> dict[Path, bytes]:
    """The pictures of a document in `beside`, drawn by the command in the comment before each."""
    drawn = {}
    for command, path in PICTURE.findall(text):
        with tempfile.TemporaryDirectory() as folder:
            output(f"{command} --plot {folder}/picture.svg")
            drawn[beside / path] = Path(folder, "picture.svg").read_bytes()
    return drawn


def generated(text: str) -> str:
    """A document with every block filled in."""
    text = LIST.sub(lambda match: f"{match[1]}\n{schemas()}\n{match[2]}", text)
    return BLOCK.sub(_filled, text)


def _filled(match: re.Match[str]) -> str:
    if match[2] == "make judge" and "--check" in sys.argv:
        return match[0]
    return match[1] + shown(match[2]) + output(match[2]) + match[4]


def schemas() -> str:
    """The published schemas as a table."""
    rows = ["| schema | of |", "|---|---|"]
    for path in sorted((TOP / "docs/schema").glob("*.json")):
        rows.append(f"| [{path.name}](schema/{path.name}) | {json.loads(path.read_text())['title']} |")
    return "\n".join(rows) + "\n"


def catalogue() -> str:
    """``docs/findings.md``."""
    parts = ["# Findings\n", "Written by `make docs` from the catalogue in `src/xenp2m/checks/stories/`.\n"]
    for severity in sorted(Severity, reverse=True):
        parts.append(f"## {str(severity).capitalize()}s\n")
        for story in STORIES.values():
            if story.severity is severity:
                parts.append(f"### {story.code}\n\n**{story.title}.** {story.story}\n")
                facts = [("When", story.trigger), ("What to do", story.fix.rstrip("."))]
                facts += [("Mended", story.fixed), ("Source", story.source)]
                parts += [f"{name}: {text}.\n" for name, text in facts if text]
    return "\n".join(parts)


ERA_VERSIONS = {
    "g1": "2.6.39", "g1-3.0": "3.0 to 3.0.3", "g1-3.1": "3.0.4 to 3.1", "g1b": "3.2 to 3.4",
    "g2": "3.5 to 3.15", "g2-3.16": "3.16, 3.17", "g2r": "3.18", "g3a": "3.19 to 4.2", "g3": "4.3 and later",
}  # fmt: skip

ERA_NOTES = (
    "What the answers of an era that is not verified rest on:",
    "",
    "* g1-3.0: boots as 2.6.39. No source of 3.0 to 3.0.3 was at hand; that 3.0.3 does not ask for the",
    "  maximum reservation follows from Oracle's kernel, which added that change to it in September 2011.",
    "* g1-3.1: the text of a 3.0 stable tree was read: the maximum reservation bounds extra memory, which",
    "  dom0 lifts to 4 GiB on 32 bits too and a domU never. 3.1 itself was not.",
    "* g1b: 3.5 without the frames populated anew; one log of 3.2.12 agrees.",
    "* g2-3.16: 3.12 with the tree of 3.18 and identity behind the map.",
    "* g3a: the memory setup of 3.19 to 4.2 with the list of a later kernel.",
)


def eras() -> str:
    """``docs/eras.md``."""
    parts = [
        "# Eras and rules\n",
        "Written by `make docs`. `verified` is also in every JSON answer: false means that no",
    ]
    parts += ["source of that very era was compared.\n", "## Boots\n"]
    parts += ["| era | Linux | verified |", "|---|---|---|"]
    parts += [
        f"| {name} | {ERA_VERSIONS[name]} | {str(era.verified).lower()} |" for name, era in ERAS.items()
    ]
    parts += ["", *ERA_NOTES]
    parts += ["\n## Rules of the P2M tree (`--rules`)\n", "| rules | verified | source |", "|---|---|---|"]
    parts += [f"| {r.name} | {str(r.verified).lower()} | {r.source} |" for r in RULES.values()]
    return "\n".join(parts) + "\n"


def write() -> int:
    """Write or check; return the exit status."""
    stale = []
    documents = {
        TOP / "docs/findings.md": catalogue().encode(),
        TOP / "docs/eras.md": eras().encode(),
        TOP / "docs/commands.md": commands_page().encode(),
        TOP / "docs/notebook.ipynb": executed(TOP / "docs/notebook.ipynb"),
    }
    for path in (TOP / "README.md", *sorted((TOP / "docs").rglob("*.md"))):
        if path not in documents:
            text = path.read_text()
            documents |= {path: generated(text).encode(), **pictures(text, path.parent)}
    for path, data in documents.items():
        if not path.exists() or path.read_bytes() != data:
            stale.append(path.relative_to(TOP))
            if "--check" not in sys.argv:
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(data)
    if stale and "--check" in sys.argv:
        print(f"not up to date (make docs): {', '.join(map(str, stale))}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(write())
