import json

import pytest

from consoles import Q35, console, split
from test_cli_diagnose import asked, validator
from xenp2m.checks.stories.passthrough import PASSTHROUGH

GUEST = """\
[    0.000000] Linux version 6.1.0 (a@b) #1
[    0.000000] ACPI in unprivileged domain disabled
[    0.000000] BIOS-provided physical RAM map:
[    0.000000] Xen: [mem 0x0000000000000000-0x000000000009ffff] usable
[    0.000000] Xen: [mem 0x00000000000a0000-0x00000000000fffff] reserved
[    0.000000] Xen: [mem 0x0000000000100000-0x000000003fffffff] usable
[    0.000000] Xen: [mem 0x0000000040000000-0x000000007ffdbfff] unusable
[    0.000000] Xen: [mem 0x000000007ffdc000-0x000000007fffffff] reserved
[    0.000000] NX (Execute Disable) protection: active
"""
PLAIN = "".join(
    line for line in GUEST.splitlines(keepends=True) if "unusable" not in line and "7ffdc" not in line
)
IOMEM = "00100000-3fffffff : System RAM\n90000000-97ffffff : System RAM\n"


def pci(start, size=0x4000):
    return f"[    1.0] pci 0000:00:00.4: BAR 0 [mem {start:#x}-{start + size - 1:#x} 64bit pref]\n"


@pytest.fixture
def bars(capsys, tmp_path):
    xen, _ = split(console(Q35))
    (tmp_path / "host").write_text(xen)

    def ask(guest, *words):
        (tmp_path / "guest").write_text(guest)
        return asked(
            capsys,
            "bars",
            "--host",
            tmp_path / "host",
            "--guest",
            tmp_path / "guest",
            "--memory",
            "1G",
            *words,
        )

    return ask


CASES = [
    # guest, first byte of the BAR, what lies there, codes
    (GUEST, 0x90004000, "hole", ()),
    (GUEST, 0x7FFDC000, "reserved", ()),
    (GUEST, 0x7FFD8000, "unusable", ("bar-in-unusable", "bar-in-host-ram")),
    (GUEST, 0x3FFFE000, "ram", ("bar-in-ram", "bar-in-host-ram")),
    (GUEST, 0x40000000, "unusable", ("bar-in-unusable", "bar-in-host-ram")),
    (PLAIN, 0x3FFFE000, "ram", ("bar-without-e820-host", "bar-in-host-ram")),
    (PLAIN, 0x40000000, "hole", ("bar-in-host-ram",)),
    (PLAIN, 0x90004000, "hole", ()),
    (GUEST + IOMEM, 0x90004000, "ram", ("bar-under-hotplug",)),
    (GUEST + IOMEM, 0x98000000, "hole", ()),
]


@pytest.mark.parametrize(("guest", "start", "verdict", "codes"), CASES)
def test_where_a_bar_lies(bars, guest, start, verdict, codes):
    status, out, err = bars(guest + pci(start), "--json")
    answer = json.loads(out)
    validator("bars.schema.json").validate(answer)
    (bar,) = answer["bars"]
    assert (bar["verdict"], bar["seen"], err) == (verdict, True, "")
    assert [finding["code"] for finding in answer["findings"]] == list(codes)
    assert status == int(bool(codes))


def test_every_code_has_a_bar_and_a_near_miss():
    told = [set(codes) for *_, codes in CASES]
    for story in PASSTHROUGH:
        assert {story.code in codes for codes in told} == {True, False}
    assert {story.code for story in PASSTHROUGH} == set().union(*told)


def test_a_guest_that_printed_no_map_is_predicted(bars):
    status, out, _ = bars(pci(0x90004000) + "[    0.0] Linux version 6.1.0 (a@b) #1\n", "--json")
    answer = json.loads(out)
    assert (status, answer["bars"][0]["seen"], answer["bars"][0]["verdict"]) == (0, False, "hole")
    assert [0x40000000, 0x7FFDC000, 5] in answer["predicted"]
    status, out, _ = bars(pci(0x120000000), "--maxmem", "4G", "--json")
    answer = json.loads(out)
    assert answer["bars"][0]["verdict"] == "ram"
    assert "bar-in-ram" in {finding["code"] for finding in answer["findings"]}


def test_the_text(bars):
    status, out, _ = bars(GUEST + IOMEM + pci(0x90004000))
    assert status == 1
    assert "CONFLICT" in out
    assert "0000:00:00.4" in out
    assert max(map(len, out.splitlines())) <= 80


def test_what_is_missing_is_said(bars, capsys, tmp_path):
    status, _, err = bars(GUEST)
    assert (status, err.count("\n")) == (2, 1)
    assert "BARs" in err
    (tmp_path / "nothing").write_text("hello\n")
    code, _, err = asked(capsys, "bars", "--host", tmp_path / "nothing", "--guest", tmp_path / "nothing")
    assert (code, err.count("\n")) == (2, 1)
