"""The documents say what the program does."""

import re
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).parent.parent


def test_generated_parts_are_up_to_date():
    run = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"], cwd=TOP, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_readme_example_runs():
    (code,) = re.findall(r"```python\n(.*?)```", (TOP / "README.md").read_text(), re.DOTALL)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "boots (<Kind.IDENTITY: 'identity'>, 159) 97\n"


def test_every_module_is_in_the_layer_table():
    text = (TOP / "ARCHITECTURE.md").read_text()
    for path in (TOP / "src" / "xenp2m").glob("*.py"):
        if not path.name.startswith("__"):
            assert f"`{path.stem}`" in text, path.name


def test_links_lead_somewhere():
    for document in (*TOP.glob("*.md"), *TOP.glob("docs/*.md")):
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
            if not target.startswith("https://"):
                assert (document.parent / target).exists(), f"{document.name}: {target}"
