"""Every suggestion boots; the ones that would help are found; nothing is said where nothing is wrong."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from hosts import MIB, NVS, PC, RESERVED, Entry, pc, with_range
from test_checks_boot import CASES
from xenp2m.findings import Outcome, Severity
from xenp2m.plan import make_plan
from xenp2m.suggest import dom0_mem_text, suggestions

IMAGE = {"kernel": (16 * MIB, 74 * MIB), "start_info": 74 * MIB, "pt": (74 * MIB + 4096, 75 * MIB)}
HOSTS = {code: host for code, host, _ in CASES}
HELPED = {
    "pages-released": "dom0_mem",
    "nvs-offset-fault": "kernel",
    "image-conflict": "load_address",
    "nvs-no-room": "dom0_mem",
    "map-overflow": "dom0_mem",
    "extra-too-small": "dom0_mem",
    "remap-beyond-p2m": "dom0_mem",
    "identity-over-extra": "kernel",
    "mem-below-allocation": "mem",
    "remapped-out-of-map": "dom0_mem",
    "unusable-mapped": "kernel",
}


def bad(plan):
    return any(finding.severity > Severity.NOTE for finding in plan.findings)


@pytest.mark.parametrize("code", HOSTS)
def test_what_is_suggested_boots(code):
    plan = make_plan(HOSTS[code])
    found = suggestions(plan)
    assert not found or bad(plan)
    for each in found:
        again = make_plan(each.plan.host)
        assert again.outcome is Outcome.BOOTS
        assert each.clean is not bad(again)


@pytest.mark.parametrize(("code", "kind"), HELPED.items())
def test_what_helps_is_found(code, kind):
    assert kind in {each.kind for each in suggestions(make_plan(HOSTS[code])) if each.clean}


def test_a_reserved_range_asks_for_another_address_and_nvs_for_a_kernel():
    reserved = suggestions(make_plan(pc(e820=with_range(64 * MIB, 65 * MIB, RESERVED), **IMAGE)))
    assert "kernel" not in {each.kind for each in reserved}
    found = {
        each.kind: each.value
        for each in suggestions(make_plan(pc(e820=with_range(64 * MIB, 65 * MIB, NVS), **IMAGE)))
    }
    assert found["kernel"] == "6.6.54"
    assert found["load_address"] in (4 * MIB, 66 * MIB)


def test_the_nearest_size_is_suggested():
    """The map has RAM for 97 pages less than dom0 is to get."""
    host = pc(e820=(*PC[:3], Entry(0x100000, 1 << 30, 1)))
    value = next(each.plan.host.nr_pages for each in suggestions(make_plan(host)))
    sizes = [n for n in range(1 << 18, 0, -256) if not bad(make_plan(pc(e820=host.e820, nr_pages=n)))]
    assert sizes[0] - 64 * 256 <= value <= sizes[0]


@pytest.mark.parametrize(
    ("pages", "text"),
    [((256, None), "1M"), ((257, 512), "1028K,max:2M"), ((256, 0xFFFFFFFF), "1M")],
)
def test_values_are_written_as_xen_reads_them(pages, text):
    assert dom0_mem_text(*pages) == text


def run(*arguments, text):
    return subprocess.run(
        [sys.executable, "-m", "xenp2m", "plan", *arguments, "-"],
        input=text, capture_output=True, text=True, check=False,
    )  # fmt: skip


ROW = json.dumps(
    {
        "kernel": "6.1",
        "in": {
            "nr_pages": 0x40000,
            "max_res": 0x60000,
            "e820": [list(e) for e in with_range(64 * MIB, 65 * MIB, NVS)],
            "kernel": [16 * MIB, 74 * MIB],
            "start_info": 74 * MIB,
            "pt": [74 * MIB + 4096, MIB],
        },
    }
)


def test_the_command_tells_what_the_screen_would_say_and_what_helps():
    ran = run("--suggest", text=ROW)
    assert ran.returncode == 1
    flat = " ".join(ran.stdout.split())
    assert '"Xen hypervisor allocated kernel memory conflicts with E820 map"' in flat
    assert "Linux 6.6.54" in flat
    assert "cannot move: dom0 stops" in flat
    assert "suggestions" not in run(text=ROW).stdout


def test_json_carries_placement_and_suggestions():
    told = json.loads(run("--suggest", "--json", text=ROW).stdout)
    assert {each["kind"] for each in told["suggestions"]} == {"kernel", "load_address"}
    assert all(each["outcome"] == "boots" for each in told["suggestions"])
    assert told["placement"]["objects"][0]["fate"] == "stops"
    assert "suggestions" not in json.loads(run("--json", text=ROW).stdout)
    schema = json.loads((Path(__file__).parent.parent / "docs/schema/plan-answer.schema.json").read_text())
    Draft202012Validator(schema).validate(told)
