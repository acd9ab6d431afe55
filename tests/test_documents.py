"""The documents say what the program does."""

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from guests import unpacked
from xenp2m.cli.app import verbs

TOP = Path(__file__).parent.parent
DOCUMENTS = sorted([*TOP.glob("*.md"), *TOP.glob("docs/**/*.md"), *TOP.glob("tests_xen/*.md")])
OUTPUT = re.compile(r"<!-- output of: .+? -->\n```\n\$ .+?```\n", re.DOTALL)
FENCE = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
CALL = re.compile(
    r"^\s*(?:\$ )?(?:.*\| *)?(?:\S*python[\d.]* (?:-m )?)?(?:\S*/)?xenp2m(?:\.pyz)?(?: |$)", re.MULTILINE
)


def name_of(path):
    return str(path.relative_to(TOP))


def shown_calls(text):
    """Every `xenp2m VERB ...` of a document: verb and the options behind it, boxes left out."""
    for line in FENCE.sub("", text).splitlines():
        for verb, rest in re.findall(r"(?<![*#] )(?<!\*)\bxenp2m ([a-z][a-z0-9-]+|--\w+)([^`\n]*)", line):
            yield verb, re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", re.split(r"\. |: |, |\bxenp2m\b", rest)[0])


def wrong_calls(text):
    group = verbs()
    for verb, options in shown_calls(text):
        if verb.startswith("--"):
            continue
        command = group.get_command(click.Context(group), verb)
        if command is None:
            if f"`xenp2m {verb}" in text:
                yield f"xenp2m {verb}"
            continue
        known = {name for each in command.get_params(click.Context(command)) for name in each.opts}
        known |= {name for each in command.params for name in each.secondary_opts}
        yield from (f"xenp2m {verb} {option}" for option in options if option not in known | {"--help"})


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_no_shown_command_escapes_the_generator(path):
    text = path.read_text()
    assert len(OUTPUT.findall(text)) == text.count("<!-- output of: "), "a block that make docs does not fill"
    if path.name != "commands.md":
        typed = [line for block in FENCE.findall(OUTPUT.sub("", text)) for line in CALL.findall(block)]
        assert not typed, "write <!-- output of: COMMAND --> before the block, and run make docs"


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_commands_in_sentences_exist(path):
    assert not list(wrong_calls(path.read_text()))


def test_goals_of_make_in_documents_exist():
    goals = set(re.findall(r"^([a-z-]+):", (TOP / "Makefile").read_text(), re.MULTILINE))
    for path in DOCUMENTS:
        for goal in re.findall(r"(?:^|`)make ([a-z][a-z-]*)", path.read_text(), re.MULTILINE):
            assert goal in goals, f"{path.name}: make {goal}"


@pytest.mark.parametrize(
    "line",
    ["$ xenp2m plan", "xz -dc a | xenp2m show -", "python3 build/xenp2m.pyz plan", "python3 -m xenp2m plan"],
)
def test_a_typed_command_is_noticed(line):
    assert CALL.search(line)


def test_a_wrong_call_is_noticed():
    assert not CALL.search("import xenp2m\nplan = xenp2m.make_plan()")
    assert list(wrong_calls("`xenp2m plane`")) == ["xenp2m plane"]
    assert list(wrong_calls("`xenp2m plan a.log --colour`")) == ["xenp2m plan --colour"]


def test_generated_parts_are_up_to_date():
    run = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"], cwd=TOP, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_example_for_python_runs():
    (code,) = re.findall(r"```python\n(.*?)```", (TOP / "docs/python.md").read_text(), re.DOTALL)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "frames-remapped" in run.stdout


def test_the_readme_examples_run(tmp_path):
    unpacked("tiny64-both.save", tmp_path).rename(tmp_path / "vm.save")
    plan, map_read = (
        subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout
        for code in re.findall(r"```python\n(.*?)```", (TOP / "README.md").read_text(), re.DOTALL)
    )
    assert plan == "boots (<Kind.IDENTITY: 'identity'>, 159) 97\n"
    looked, counted, memory = map_read.splitlines()
    assert looked == "(<Kind.IDENTITY: 'identity'>, 2008) [496128 496129 496130] [1]"
    assert counted == "[(<Kind.MFN: 'mfn'>, 2008), (<Kind.MISSING: 'missing'>, 441)] 0"
    assert memory == "None 4096 ()"


def test_every_module_is_in_the_layer_table():
    text = (TOP / "ARCHITECTURE.md").read_text()
    for path in (TOP / "src" / "xenp2m").glob("*.py"):
        if not path.name.startswith("__"):
            assert f"`{path.stem}`" in text, path.name


def test_links_lead_somewhere():
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
            if not target.startswith("https://"):
                assert (document.parent / target).exists(), f"{document.name}: {target}"
