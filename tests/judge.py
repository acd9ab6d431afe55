"""Hold the program's answers against real boots and against what the kernels' own code answered.

Run it with ``make judge``: it prints one line a file and ends with status 1 if anything differs.
`tests/boots/<host>/` has the console of a real boot and what was read out of it afterwards: the map
that dom0 printed, the kind of every P2M entry, and how the boot ended. `tests/vectors/` has rows.
"""

from __future__ import annotations

import json
import lzma
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
JUDGED = (
    "e820", "extra_early", "extra", "released", "freed", "populated", "p2m", "p2m_end", "shared_max_pfn",
    "p2m_size", "alloc_p2m_pages", "brk_pages", "struct", "p2m_moved", "initrd_moved", "bug", "phase",
)  # fmt: skip
TREE_JUDGED = (
    "ret", "p2m", "struct", "brk_pages", "rt_pages", "bootmem_pages", "scribbled", "bug", "at", "p2m_end",
    "brk_budget_p2m",
)  # fmt: skip
SAID_BY_ABSENCE = ("bug", "phase", "p2m_moved", "initrd_moved")
OUTCOMES = {"booted": {"boots"}, "dom0 halted": {"halts"}, "dom0 panic/crash": {"crashes"}}
E820_WORDS = {
    "usable": 1, "reserved": 2, "ACPI data": 3, "ACPI NVS": 4, "unusable": 5,
    "persistent (type 7)": 7, "persistent (type 12)": 12,
}  # fmt: skip


def row_differences(answer: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """Judged fields of one vector row in which the answer differs."""
    wrong = [key for key in JUDGED if key in expected and answer.get(key) != expected[key]]
    return wrong + [key for key in SAID_BY_ABSENCE if key not in expected and key in answer]


def tree_differences(answer: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """Judged fields of one row of tree operations in which the replay differs."""
    out = answer.get("out", {})
    return [key for key in TREE_JUDGED if out.get(key) != expected.get(key)]


def boot_differences(answer: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """What one real boot did otherwise than the answer says."""
    wrong = []
    if "error" in answer:
        return [answer["error"]]
    if answer["outcome"] not in OUTCOMES[expected["outcome"]]:
        wrong.append(f"outcome {answer['outcome']}, was {expected['outcome']}")
    printed = [[start, end, E820_WORDS[word]] for start, end, word in expected["dom0_e820"]]
    if printed and answer.get("e820") != printed:
        wrong.append(f"e820 {answer.get('e820')}, was {printed}")
    if expected["kinds"] and "p2m" in answer:
        wrong += kind_differences(answer["p2m"], expected["kinds"])
    if expected["remapped"] is not None and answer.get("remapped") != expected["remapped"]:
        wrong.append(f"remapped {answer.get('remapped')}, was {expected['remapped']}")
    return wrong


def kind_differences(runs: list[Any], kinds: list[Any]) -> list[str]:
    """Ranges whose kind differs; entries past the end of the answer are identity."""
    edges = sorted({0, *(e for r in runs for e in r[:2]), *(e for r in kinds for e in r[:2])})
    wrong = []
    for start, end in pairwise(edges):
        was = next((r[2] for r in kinds if r[0] <= start < r[1]), None)
        now = next((r[2] for r in runs if r[0] <= start < r[1]), "identity")
        if was is not None and was != now:
            wrong.append(f"[{start:#x}, {end:#x}) {now}, was {was}")
    return wrong


def answers(verb: str, arguments: list[str], stdin: str | None = None) -> list[dict[str, Any]]:
    """Answers of ``xenp2m VERB --json``."""
    command = [sys.executable, "-m", "xenp2m", verb, "--json", *arguments]
    run = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=600, check=False)
    if run.returncode not in (0, 1, 2):
        raise SystemExit(f"{' '.join(command)}: status {run.returncode}\n{run.stderr}")
    return [json.loads(line) for line in run.stdout.splitlines()]


def real_boots() -> list[Path]:
    """Directories of the real boots."""
    return sorted(path.parent for path in HERE.glob("boots/*/expected.json"))


def judge_boot(directory: Path) -> tuple[str, list[str]]:
    """The line of one real boot, and what differs."""
    expected = json.loads((directory / "expected.json").read_text())
    options = ["--kernel", expected["kernel_option"]] if "kernel_option" in expected else []
    (answer,) = answers("plan", [str(directory / "console.log.xz"), *options])
    wrong = boot_differences(answer, expected)
    entries = sum(end - start for start, end, _ in expected["kinds"] or [])
    how = f"{expected['outcome']:16} {entries:>9,} entries  {len(wrong)} differences"
    return f"{directory.name:34} {how}", wrong


def vector_rows(path: Path) -> list[dict[str, Any]]:
    """Rows of one file of vectors."""
    with lzma.open(path, "rt") as file:
        return [json.loads(line) for line in file]


def vectors() -> list[Path]:
    """The files of rows."""
    return sorted(HERE.glob("vectors/*.jsonl.xz"))


def judge_rows(path: Path) -> tuple[str, list[str]]:
    """The line of one file of rows, and the ids of those that differ."""
    verb, differences = (
        ("replay", tree_differences) if path.name.startswith("tree") else ("plan", row_differences)
    )
    rows = vector_rows(path)
    text = "\n".join(json.dumps({k: v for k, v in row.items() if k != "out"}) for row in rows)
    pairs = zip(rows, answers(verb, ["-"], text), strict=True)
    wrong = [str(row["id"]) for row, answer in pairs if differences(answer, row["out"])]
    return (
        f"{path.name:34} {len(rows):>5} rows  {len(rows) - len(wrong):>5} agree  {len(wrong)} differ",
        wrong,
    )


def judged(path: Path) -> tuple[str, list[str]]:
    """The line of a real boot or of a file of rows, and what differs."""
    return judge_boot(path) if path.is_dir() else judge_rows(path)


def main() -> int:
    """Print the table; return the exit status."""
    total = 0
    for path in (*real_boots(), *vectors()):
        line, wrong = judged(path)
        total += len(wrong)
        print(line)
        for difference in wrong:
            print(f"    {difference}")
    print(f"{total} differences")
    return int(total > 0)


if __name__ == "__main__":
    sys.exit(main())
