"""The example notebook with what its cells show, without anything that differs from run to run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import nbformat
from nbclient import NotebookClient

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["executed"]


def executed(path: Path) -> bytes:
    """The notebook at `path`, executed anew.

    Of a value that draws itself the plain text is left out, so that the file stays small.
    """
    notebook = nbformat.read(path, as_version=4)
    metadata = dict(notebook.metadata)
    NotebookClient(notebook, timeout=120, kernel_name="python3", record_timing=False).execute()
    notebook.metadata = metadata
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if len(data) > 1:
                data.pop("text/plain", None)
    return (json.dumps(json.loads(nbformat.writes(notebook)), indent=1, ensure_ascii=False) + "\n").encode()
