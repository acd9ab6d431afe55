"""Every target by name. A parser joins by an entry in `texts`, `rows` or `files`."""

from tests.fuzz import files, rows, texts

__all__ = ["TARGETS"]

TARGETS = texts.TARGETS | rows.TARGETS | files.TARGETS
