"""From the facts of a log to a host, with what had to be assumed."""

import re
from pathlib import Path

import pytest

from xenp2m.arrangement import list_frames
from xenp2m.errors import InputError, UnsupportedError
from xenp2m.host import UNLIMITED
from xenp2m.kernel import Version
from xenp2m.kernelconfig import KernelConfig
from xenp2m.logs.consolelog import read_log
from xenp2m.logs.textfile import read_text
from xenp2m.options import Options
from xenp2m.recover import host_of_log

BOOTS = Path(__file__).parent / "boots"


def console(name):
    return read_text(BOOTS / name / "console.log.xz")


Q35 = console("q35-4g-1024_max1536")


def recovered(text, **said):
    return host_of_log(read_log(text, "log"), Options(**said))


def test_everything_the_hypervisor_said():
    host, title = recovered(Q35)
    assert (host.nr_pages, host.max_res, host.mfn_base) == (0x40000, 0x60000, 0x170000)
    assert host.kernel == (0x1000000, 0x4A00000)
    assert host.start_info == 0x4A00000
    assert host.pt == (0x4A01000, 0x4A2A000)
    assert host.initrd == (0x8000000, 0x8000000 + 0x17FFFF311 - 0x17FC4D000)
    assert host.p2m_frames == (0x8000 + 0x3B3, 514)
    assert host.release.version == Version(6, 1, 192)
    assert title == "Xen 4.17.7 · Linux 6.1.192 · PV dom0 · dom0_mem=1024M,max:1536M"


def test_the_hypervisors_own_ranges_are_added():
    entries = [e[:2] for e in recovered(Q35)[0].e820]
    assert (0xFEC00000, 0xFEC01000) in entries
    assert (0xFEE00000, 0xFEF00000) in entries
    newer, _ = recovered(Q35, xen=Version(4, 20, 5))
    assert (0xFEE00000, 0xFEE01000) in [e[:2] for e in newer.e820]


def test_a_dom0_mem_of_ones_own_replaces_the_log():
    host, title = recovered(Q35, dom0_mem="512M,max:2G")
    assert (host.nr_pages, host.max_res) == (0x20000, 0x80000)
    assert host.p2m_frames[1] == list_frames(0x8000000000, 0x20000)
    assert title.endswith("dom0_mem=512M,max:2G")


def test_without_dom0_mem_the_maximum_is_unlimited():
    host, _ = recovered(console("q35-4g-nodom0mem"))
    assert host.max_res == UNLIMITED
    assert host.nr_pages == 1004494


def test_nothing_of_dom0s_own_boot_is_used():
    silent = re.sub(r"\[ *\d+\.\d+\] (?!Linux version|Command line).*", "", Q35)
    assert recovered(silent) == recovered(Q35)
    lying = Q35.replace("Remapped 97", "Remapped 5").replace(
        "0000000060060fff] usable", "0000000070060fff] usable"
    )
    assert recovered(lying) == recovered(Q35)


def test_version_of_an_oops_and_words_that_exclude():
    headless = "\n".join(line for line in Q35.splitlines() if "Linux version" not in line)
    oops = (
        headless + "\n[    1.0] CPU: 0 PID: 0 Comm: swapper Not tainted 6.1.0-56-amd64 #1  Debian 6.1.192-2\n"
    )
    assert recovered(oops)[0].release.version == Version(6, 1, 192)
    host, _ = recovered(headless)
    assert host.release.version < Version(6, 12)
    assert any("newest that the log's words allow" in line for line in host.assumed)
    seven = "\n".join(
        line for line in console("k72-d4-overflow-1024_max1408").splitlines() if "Linux version" not in line
    )
    assert recovered(seven)[0].release.version >= Version(7, 0)


def test_mem_on_dom0s_command_line():
    assert recovered(Q35)[0].mem_limit is None
    limited = Q35.replace("console=hvc0 earlyprintk=xen", "console=hvc0 mem=800M mem=900M earlyprintk=xen")
    assert recovered(limited)[0].mem_limit == 800 << 20
    assert recovered(Q35.replace("hvc0 early", "hvc0 mem=nopentium early"))[0].mem_limit is None


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [("*** Building a PV Dom0 ***", "*** Building a PVH Dom0 ***", "PVH")],
)
def test_other_guests_are_named(old, new, kind):
    with pytest.raises(UnsupportedError, match=f"a {kind} guest.*no PV P2M"):
        recovered(Q35.replace(old, new))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("[    0.000000] Linux version 6.1.0 (x)\n[    0.000000] Hypervisor detected: Xen HVM\n", "HVM"),
        ("[    0.000000] Booting paravirtualized kernel on Xen PVH\n", "PVH"),
        ("[    0.000000] Booting Linux on physical CPU 0x0000000000 [0x410fd083]\n", "Arm"),
    ],
)
def test_logs_of_other_guests(text, kind):
    with pytest.raises(UnsupportedError, match=kind):
        recovered(text)


def test_a_map_with_lines_missing_is_refused():
    lines = [line for line in Q35.splitlines() if "[0000000000100000, 000000007ffdbfff]" not in line]
    with pytest.raises(InputError, match="lines of the map are missing"):
        recovered("\n".join(lines))


def test_a_text_that_ends_inside_the_map_is_refused():
    lines = Q35.splitlines()
    end = next(i for i, line in enumerate(lines) if "000000007ffdbfff" in line)
    with pytest.raises(InputError, match="whole memory map"):
        recovered("\n".join(lines[: end + 1]))


def test_any_truncation_is_an_answer_or_a_refusal():
    lines = Q35.splitlines()
    answers = 0
    for end in range(0, len(lines), 3):
        try:
            host, _ = recovered("\n".join(lines[:end]))
        except InputError:
            continue
        answers += 1
        assert host.nr_pages > 0
    assert answers > 100


def test_dom0s_printed_map_alone_is_no_map_of_the_host():
    text = "\n".join(line for line in Q35.splitlines() if line.startswith("["))
    with pytest.raises(InputError, match="only the one that Linux printed after its own boot"):
        recovered(text, nr_pages=0x40000)


@pytest.mark.parametrize(
    ("pattern", "text", "said"),
    [
        (r"(Init. ramdisk: *)\w+->\w+", r"\g<1>00000000ffffffff->0000000000000000", "got 0xffffffff->0x0"),
        (r"(Dom0 alloc.: *)\w+->", r"\g<1>0000000188000000->", "behind its start"),
        (r"(Page tables: *)\w+->", r"\g<1>ffffffffffff0000->", "behind its start"),
        (r"228429 pages", "99999999999 pages", "the host's RAM, got"),
        (r"Xen version: 4.17.7", "Xen version: 4.20.5", "dom0 on Xen 4.17.7"),
    ],
)
def test_contradictions_are_refused(pattern, text, said):
    with pytest.raises(InputError, match=said):
        recovered(re.sub(pattern, text, Q35))


def test_the_command_line_can_ask_for_pvh():
    text = Q35[: Q35.index("*** Building")].replace(
        "Command line: console=com1", "Command line: dom0=pvh,shadow"
    )
    with pytest.raises(UnsupportedError, match="a PVH guest"):
        recovered(text)


def test_what_the_hypervisor_passes_over_is_said():
    host, _ = recovered(Q35.replace("max:1536M", "max:1536MB"))
    assert host.max_res == UNLIMITED
    assert any("ignored" in line and "1536MB" in line for line in host.assumed)
    assert any("KiB" in line for line in recovered(Q35, dom0_mem="1048576")[0].assumed)


def test_a_log_of_libxl_is_a_domus():
    host, _ = recovered("xc: detail: [0 -> a100] RAM\n[a100 -> 100000] UNUSABLE\n", nr_pages=0xA100)
    assert host.dom == "domU"


@pytest.mark.parametrize("version", ["6.1", "6.5", "6.12.107"])
def test_a_configuration_counts_where_the_kernel_knows_the_option(version):
    config = KernelConfig(None, 512, True, 3200)
    host, _ = recovered(Q35, kernel=Version.parse(version), config=config)
    assert host.ibft is (version != "6.1")


def test_stamps_without_a_source():
    lines = Q35.splitlines()
    stamped = "\n".join("[12:34:56.789] " + line for line in lines)
    assert recovered(stamped) == recovered(Q35)
    dmesg = "\n".join(("2026-01-02T03:04:05+0100 " if line[:1] == "[" else "") + line for line in lines)
    assert recovered(dmesg)[0].release.version == Version(6, 1, 192)


def test_a_domu_log():
    text = (
        "[    0.000000] Linux version 6.1.0 (x)\n[    0.000000] BIOS-provided physical RAM map:\n"
        + "".join(
            f"[    0.000000] Xen: [mem {line}\n"
            for line in (
                "0x0000000000000000-0x000000000009ffff] usable",
                "0x00000000000a0000-0x00000000000fffff] reserved",
                "0x0000000000100000-0x000000000bffffff] usable",
            )
        )
    )
    host, title = recovered(text, domu=True)
    assert host.dom == "domU"
    assert [tuple(e) for e in host.e820] == [(0, 0xC000000, 1)]
    assert host.nr_pages == 0xC000
    assert "PV domU" in title


def test_what_dom0_was_built_with_tells_what_was_available():
    text = console("q35-4g-nodom0mem").replace("guest_loglvl=all", "guest_loglvl=all dom0_mem=max:-64M", 1)
    host, _ = recovered(text)
    assert host.max_res == host.nr_pages + 32768 - (64 << 8)
    assert not any("estimated" in line for line in host.assumed)
