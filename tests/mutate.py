"""Break a rule on purpose and show which tests notice.

Run it with ``python tests/mutate.py [NAME ...]``: each mutation changes one line of a copy of the
sources and runs the tests of the model against the copy. It ends with status 1 if one goes unnoticed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

_LIMITED = ("timeout", "--signal=KILL", "200", "prlimit", "--as=4294967296")
"""A broken tree can run on, or eat all memory: 200 s and 4 GiB for the tests of one mutation."""
ROOT = Path(__file__).parent.parent
TESTS = (
    "test_tree.py",
    "test_rules.py",
    "test_linear.py",
    "test_replay.py",
    "test_thread.py",
    "test_balloon.py",
    "test_replay_runtime.py",
)


PROFILE = """
from hypothesis import Phase, settings
settings.register_profile("mutation", phases=(Phase.explicit, Phase.generate), database=None)
settings.load_profile("mutation")
"""
"""A failure is enough here: hypothesis need not look for the smallest."""


class Mutation(NamedTuple):
    """One line changed in one file of the package."""

    name: str
    file: str
    old: str
    new: str


MUTATIONS = (
    Mutation("no-edge-split", "model/range_identity.py", "    for pfn in (start, end):\n        if pfn % entries:\n", "    for pfn in ():\n        if pfn % entries:\n"),
    Mutation("no-split-of-the-end", "model/range_identity.py", "    for pfn in (start, end):\n        if pfn % (entries * entries):", "    for pfn in (start,):\n        if pfn % (entries * entries):"),
    Mutation("no-mid-pages", "model/range_identity.py", "    for top in np.flatnonzero(bare) + tops.start:", "    for top in ():"),
    Mutation("no-guard", "model/phys_to_machine.py", "if rules.guard and leaf == MISSING:", "if False:"),
    Mutation("guard-on-identity-too", "model/phys_to_machine.py", "if rules.void_identity and leaf == IDENTITY:", "if leaf == IDENTITY:"),
    Mutation("no-leaf-swap", "model/phys_to_machine.py", "if rules.swap and leaf == MISSING:", "if False:"),
    Mutation("no-mid-swap", "model/phys_to_machine.py", "if rules.swap_mid and tree.top[top] == MISSING:", "if False:"),
    Mutation("leaf-swap-before-mid-swap", "model/phys_to_machine.py", "rules.swap_mid and tree.top[top] == MISSING", "rules.swap_mid and False"),
    Mutation("past-the-end-is-missing", "model/rules.py", "beyond_identity=True", "beyond_identity=False"),
    Mutation("ranges-to-the-end-allowed", "model/range_identity.py", "refused = start >= last or end >= last", "refused = start >= last"),
    Mutation("no-walk-past-the-end", "model/range_identity.py", "if skips and rows[-1] == IDENTITY:", "if False:"),
    Mutation("no-reuse", "model/early.py", "    if found is None:\n        return False", "    return False"),
    Mutation("reuse-anywhere", "model/early.py", "    if pfn % p2m.geometry.entries:\n        return False\n", ""),
    Mutation("reused-leaf-not-emptied", "model/early.py", "    tree.leaves.rows[row] = p2m.geometry.invalid\n", ""),
    Mutation("tools-not-told", "model/phys_to_machine.py", "told.link(top, mid, self.new_leaf(pfn, Origin.RUNTIME))", "self.new_leaf(pfn, Origin.RUNTIME)"),
    Mutation("fresh-leaf-of-zeros", "model/phys_to_machine.py", "first = tree.leaves.add(self.geometry.invalid, origin, len(mids))", "first = tree.leaves.add(0, origin, len(mids))"),
    Mutation("identity-page-read-as-it-is", "model/phys_to_machine.py", "if self.tree.leaf_of(pfn) == IDENTITY:\n            return self.identity(pfn)\n        return self.tree.word", "return self.tree.word"),
    Mutation("linear-fill-missing", "model/linear.py", "        if was_identity:\n", "        if False:\n"),
    Mutation("linear-nothing-shared", "model/linear.py", "kinds[(words == words.dtype.type(self.geometry.invalid)).all(axis=1)] = MISSING", "pass"),
    Mutation("whole-gib-keeps-missing-leaves", "model/range_identity.py", "    if which.size:\n        tree.set_leaf(tops[which], mids, IDENTITY)\n", ""),
    Mutation("whole-gib-keeps-its-words", "model/range_identity.py", "    which, mids = np.nonzero(rows >= FIRST)\n", "    which, mids = np.nonzero(rows < 0)\n"),
    Mutation("whole-gib-out-of-place", "model/range_identity.py", "tops[which] * entries + mids, rows[which, mids]", "which * entries + mids, rows[which, mids]"),
    Mutation("whole-gib-without-its-swap", "model/range_identity.py", "        if bare.size:\n", "        if False:\n"),
    Mutation("builder-covers-one-leaf-too-few", "model/early.py", "-(-end // entries) - top * entries]", "end // entries - top * entries]"),
    Mutation("brk-pages-without-end", "model/alloc.py", "min(wanted, max(0, BRK_AREA - self.brk))", "wanted"),
    Mutation("balloon-stops-in-3.12", "model/balloon.py", "Driver(version < (3, 12),", "Driver(version < (3, 13),"),
    Mutation("no-scratch-page", "model/runtime.py", "self._scratch if self._driver.scratch else None", "None"),
    Mutation("io-mark-in-3.16", "model/pte.py", '"3.6", "3.12"}', '"3.6", "3.12", "3.16"}'),
    Mutation("tools-accept-identity", "model/runtime.py", "held & ~own & ~flagged, held & flagged", "held & ~own & ~flagged, held & ~held"),
    Mutation("linear-still-generation", "model/linear.py", "        self.generation += 2\n", ""),
)  # fmt: skip


def failures(mutation: Mutation) -> list[str]:
    """Names of the tests that fail when the mutation is in."""
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory) / "src"
        shutil.copytree(ROOT / "src", copy)
        path = copy / "xenp2m" / mutation.file
        text = path.read_text()
        if mutation.old not in text:
            raise SystemExit(f"{mutation.name}: {mutation.file} has no longer the line it changes")
        path.write_text(text.replace(mutation.old, mutation.new))
        (copy / "no_shrinking.py").write_text(PROFILE)
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "-p",
            "no_shrinking",
            "--tb=no",
            "--maxfail=40",
        ]
        command += [str(ROOT / "tests" / name) for name in TESTS]
        environment = os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [*_LIMITED, *command], cwd=directory, env=environment, capture_output=True, text=True, check=False
        )
    named = re.findall(r"^(?:FAILED|ERROR) \S*?(test_\w+\.py(?:::\S+)?)", done.stdout, re.MULTILINE)
    return named or ([f"the tests ended with status {done.returncode}"] if done.returncode else [])


def main(names: list[str]) -> int:
    """Print one block a mutation; return the exit status."""
    unnoticed = 0
    for mutation in MUTATIONS:
        if names and mutation.name not in names:
            continue
        failed = failures(mutation)
        unnoticed += not failed
        print(
            f"{mutation.name:32} {len(failed):>4} tests fail" if failed else f"{mutation.name:32} UNNOTICED"
        )
        for name in failed[:4]:
            print(f"    {name}")
        sys.stdout.flush()
    print(f"{unnoticed} unnoticed")
    return int(unnoticed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
