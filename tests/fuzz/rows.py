"""JSON rows: hosts of `plan`, operations of `replay`, and their command-line twins."""

import json
import lzma
from functools import cache
from pathlib import Path

from tests.fuzz.damage import in_json
from tests.fuzz.target import Target

from xenp2m.errors import InputError
from xenp2m.hostrow import host_of_row
from xenp2m.plan import make_plan
from xenp2m.replay import replay_row
from xenp2m.views.answer import answer

__all__ = ["TARGETS"]

_VECTORS = Path(__file__).parent.parent / "vectors"
_LONGEST = 3000


@cache
def _rows(kind):
    """A few short rows of every file of vectors, without their answers."""
    found = []
    for path in sorted(_VECTORS.glob(f"{kind}-*.jsonl.xz")):
        rows = [json.loads(line) for line in lzma.decompress(path.read_bytes()).splitlines()]
        lines = [json.dumps({key: row[key] for key in row if key != "out"}).encode() for row in rows]
        found += [line for line in lines if len(line) < _LONGEST][:12]
    return found


def _value(data):
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError("row", "JSON", str(error)[:40].split("\n")[0]) from None


def _host(data):
    told = answer(make_plan(host_of_row(_value(data), "row")), "row")
    json.dumps(told)
    return sorted(finding["code"] for finding in told["findings"]), "bug" in told


def _replay(data):
    told = replay_row(_value(data))
    json.dumps(told)
    return told.get("error", "").split(",")[0], "bug" in told.get("out", {})


TARGETS = {
    "host row": Target(lambda: _rows("setup"), in_json, _host),
    "replay row": Target(lambda: _rows("tree"), in_json, _replay),
}
