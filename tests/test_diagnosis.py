"""Diagnoses of real boots: nothing disagrees, every sum closes, nothing is said that is not there."""

import re
from dataclasses import replace
from itertools import pairwise

import pytest

from consoles import BOOTS, FLOODED, Q35, SEVEN, console, split
from test_reported_boots import DESKTOP_2013
from xenp2m.diagnosis.accounting import account, struct_page_kib
from xenp2m.diagnosis.diagnose import diagnose
from xenp2m.diagnosis.identities import identities
from xenp2m.diagnosis.predicted import against_plan, unavailable_pages
from xenp2m.e820 import Entry
from xenp2m.errors import InputError
from xenp2m.host import Host
from xenp2m.kernel import Release, Version
from xenp2m.logs.consolefacts import Log, Pages, Printed, Span
from xenp2m.logs.consolelog import read_log
from xenp2m.options import Options
from xenp2m.plan import make_plan
from xenp2m.views.diagnosis_text import diagnosis_lines

CONSOLES = sorted(path.parent.name for path in BOOTS.glob("*/console.log.xz"))
MEM = "mem-800M-1024_max1536"


def of(text, **said):
    return diagnose(read_log(text, "log"), Options(**said))


def shown(diagnosis, width=80):
    return "\n".join(diagnosis_lines(diagnosis, "log", width=width))


@pytest.mark.parametrize("host", CONSOLES)
def test_every_line_of_a_real_boot_is_as_predicted(host):
    diagnosis = of(console(host))
    assert diagnosis.plan is not None
    assert diagnosis.disagreements == ()
    assert len(diagnosis.checks) >= 2


@pytest.mark.parametrize("host", CONSOLES)
def test_the_steps_between_two_sums_add_up(host):
    rows = of(console(host)).rows
    totals = [index for index, row in enumerate(rows) if row.total]
    assert len(totals) >= 2
    for low, high in pairwise(totals):
        assert rows[low].kib + sum(row.kib for row in rows[low + 1 : high]) == rows[high].kib


def test_where_the_memory_of_one_boot_is():
    """The figures of the log and of /proc/meminfo; the steps are those of the boot's own lines."""
    rows = {row.name: row for row in of(console(Q35)).rows}
    assert rows["installed RAM"].kib == 4193772
    assert rows["dom0 is built with"].kib == 1 << 20
    assert rows["extra: RAM without frames yet"].kib == 512 << 10
    assert rows["P2M beside the builder's list"].kib == -779 * 4
    assert rows["swiotlb"].kib == -65536
    assert rows["left at the Memory: line"].kib == 1572860 - 684152
    assert rows["total of free"].kib == 900540
    assert (
        min(row.kib for row in rows.values() if row.how == "worked out" and "tables" in row.name) > -32 << 10
    )


def test_extra_memory_that_mem_cuts_off_is_not_taken_twice():
    rows = {row.name: row for row in of(console(MEM)).rows}
    assert rows["cut off by mem="].kib < -(512 << 10)
    assert "extra, until the balloon fills it" not in rows


def test_lines_of_boots_that_were_seen_to_stop_are_in_the_table():
    seen = set()
    for host in CONSOLES:
        for each in of(console(host)).faults:
            if each.fault.line is not None:
                assert each.verified, each.fault
                seen.add(each.fault.function)
    assert seen >= {"xen_remap_memory", "xen_del_extra_mem", "firmware_map_add_entry"}


def test_xl_info_splits_what_is_not_dom0s():
    xen, kernel = split(console(Q35))
    text = f"{xen}{kernel}total_memory           : 4095\nfree_memory            : 3028\n"
    rows = {row.name: row.kib for row in of(text).rows}
    assert rows["free in the hypervisor"] == -(3028 << 10)
    assert rows["hypervisor itself, other domains"] == (3028 << 10) - (4193772 - (1 << 20))


def test_the_first_half_missing():
    lines = console(Q35).split("\n")
    for start in range(0, len(lines), 17):
        try:
            shown(of("\n".join(lines[start:])))
        except InputError:
            continue


def test_a_bug_is_explained_by_the_host_itself():
    diagnosis = of(console(MEM))
    warning, bug = diagnosis.faults
    assert (warning.code, warning.sure, warning.verified) == ("mem-below-allocation", True, True)
    named = {number.name: number for number in warning.numbers}
    assert (named["pfn"].value, named["pfn"].said) == (0x40000, "262144")
    assert "beyond mem=" in named["pfn"].means
    assert "usable of the host" in named["mfn"].means
    assert bug.code == "mem-below-allocation"
    assert [f.code for f in diagnosis.findings if f.code.startswith("fault")] == []
    assert "PFN 0x40000" in shown(diagnosis)


def test_without_the_host_a_cause_is_inferred():
    text = console(MEM)
    alone = text[text.index("[    0.640946]") :]
    diagnosis = of(alone)
    assert diagnosis.plan is None
    assert diagnosis.faults[0].code == "mem-below-allocation"
    assert not diagnosis.faults[0].sure
    assert "inferred" in shown(diagnosis)
    assert any("no prediction" in line for line in diagnosis.missing)


def test_the_address_of_a_page_fault_names_its_frame():
    text = console("k72-d4-overflow-1024_max1408") + (
        "[    4.1] BUG: unable to handle page fault for address: ffffea0004000010\n"
        "[    4.2] RIP: e030:xen_free_unpopulated_pages+0x57/0x90\n"
    )
    fault = of(text).faults[-1]
    assert [(n.name, n.value, n.inferred) for n in fault.numbers] == [("address", 0x100000, True)]
    assert (fault.code, fault.sure) == ("map-overflow", True)


@pytest.mark.parametrize(
    ("version", "function", "code"),
    [
        ("6.0.2", "xen_alloc_p2m_entry", "fault-beyond-p2m-area"),
        ("5.10.13", "set_foreign_p2m_mapping", "p2m-too-short"),
        ("3.4.12", "alloc_p2m", "fault-tree-grown"),
        ("6.6", "ttm_bo_validate", None),
    ],
)
def test_places_of_faults_by_version(version, function, code):
    text = (
        f"[    9.1] kernel BUG at arch/x86/xen/p2m.c:1!\n[    9.2] CPU: 0 PID: 1 Comm: a Not tainted {version} #1\n"
        f"[    9.3] RIP: e030:{function}+0x1/0x2\n"
    )
    diagnosis = of(text)
    assert diagnosis.faults[0].code == code
    codes = {finding.code for finding in diagnosis.findings}
    assert (code or "fault-elsewhere") in codes


def test_a_kernel_that_the_log_does_not_name_is_inferred_from_its_counts():
    diagnosis = of(console(FLOODED))
    assert diagnosis.plan.host.release.version < Version(6, 5)
    assert diagnosis.disagreements == ()
    assert any("the log names no version" in line for line in diagnosis.assumed)


def test_a_difference_is_told_with_what_would_explain_it():
    text = re.sub(r"Remapped 128 page", "Remapped 97 page", console(SEVEN))
    (check,) = of(text).disagreements
    assert (check.name, check.printed, check.expected) == ("Remapped", "97", "128")
    without = of(console(SEVEN), ibft=False)
    wrong = {check.name: check.why for check in without.disagreements}
    assert {"Remapped", "last_pfn", "guest's map"} <= wrong.keys()
    assert all("--ibft" in why for why in wrong.values())
    assert "log-disagrees" in {finding.code for finding in without.findings}


def test_sums_within_a_log():
    text = console(Q35)
    broken = text.replace("(228429 pages to be allocated)", "(328429 pages to be allocated)")
    names = {check.name for check in identities(read_log(broken, "x")) if not check.agrees}
    assert names == {"pages dom0 is built with"}
    broken = text.replace("1572860K available", "1572856K available")
    names = {check.name for check in identities(read_log(broken, "x")) if not check.agrees}
    assert names == {"Memory: and the printed map, KiB"}


OLD = """\
[    0.000000] Linux version 3.8.0 (a@b)
[    0.000000] Freeing 9e-100 pfn range: 98 pages freed
[    0.000000] Freeing bb000-100000 pfn range: 282624 pages freed
[    0.000000] Released 282722 pages of unused memory
[    0.000000] Set 282722 page(s) to 1-1 mapping
[    0.000000] Populating 1acb65-1f1bc7 pfn range: 282722 pages added
"""


def test_old_kernels_release_identify_and_populate_the_same_number():
    assert [check.agrees for check in identities(read_log(OLD, "x"))] == [True, True, True]
    for line in ("98 pages freed", "Set 282722", "282722 pages added", "Released 282722"):
        broken = OLD.replace(line, line.replace("8", "9", 1))
        assert not all(check.agrees for check in identities(read_log(broken, "x")))


def printed_by_a_desktop_of_2013():
    """What its log of 3.8 printed, as the public report has it."""
    freed = ((0x9E, 0x100), (0x20000, 0x20200), (0x40000, 0x40200), (0xBAD80, 0xBADF4), (0xBADF6, 0xBAE7F),
             (0xBB000, 0x100000))  # fmt: skip
    return Printed(
        released=283999,
        set_identity=283999,
        freeing=tuple(Pages(a, b, b - a) for a, b in freed),
        one_to_one=tuple(Span(a, b) for a, b in freed),
        populated=(Pages(0x1ACB65, 0x1F20C4, 283999),),
    )


def test_a_public_boot_of_3_8_agrees_in_every_count():
    host = Host(Release.of(Version(3, 8)), 1756005, tuple(Entry(*entry) for entry in DESKTOP_2013))
    log = Log("x", printed=printed_by_a_desktop_of_2013())
    checks = [*identities(log), *against_plan(log, make_plan(host))]
    assert {check.name for check in checks} >= {
        "Released",
        "1-1 mapping",
        "1-1 mapping on",
        "freeing",
        "populated",
    }
    assert [check for check in checks if not check.agrees] == []
    other = replace(log, printed=replace(log.printed, one_to_one=(Span(0x20000, 0x20201),), released=1))
    wrong = {check.name for check in against_plan(other, make_plan(host)) if not check.agrees}
    assert wrong == {"1-1 mapping on", "Released"}


@pytest.mark.parametrize(
    ("frames", "counts"),
    [
        ([(1, 0x9F), (0x100, 0x60061)], [1, 97, 32671]),
        ([(1, 0x80), (0x100, 0x9A7F), (0xA000, 0xA200), (0xA23C, 0x93C7E), (0x9AFFF, 0x9BFF9), (0x9BFFD, 0x9BFFF),
          (0x100000, 0xFDE300)], [1, 128, 1409, 60, 29569, 4, 16385, 7424]),
        ([(1, 0x8000)], [1]),
        ([], []),
    ],
)  # fmt: skip
def test_unavailable_ranges(frames, counts):
    """Figures of a boot of our own and of a public one of 2024."""
    assert unavailable_pages(frames) == counts


def test_struct_pages_are_counted_by_sections():
    assert struct_page_kib([(1, 0x8000)]) == 2048
    assert struct_page_kib([(1, 0x8001)]) == 4096
    assert struct_page_kib([(0x7FFF, 0x8001), (0x8002, 0x8003)]) == 4096


def test_a_large_max_costs_struct_pages():
    diagnosis = of(console(Q35), dom0_mem="128M,max:1280M")
    assert "struct-page-cost" in {finding.code for finding in diagnosis.findings}
    assert "struct-page-cost" not in {finding.code for finding in of(console(Q35)).findings}


def test_without_anything_there_is_nothing_to_say():
    with pytest.raises(InputError):
        of("hello\nworld\n")
    with pytest.raises(InputError, match="PVH"):
        of(console(Q35).replace("Building a PV Dom0", "Building a PVH Dom0"))


def test_an_account_without_a_plan_begins_with_what_is_printed():
    _, kernel = split(console(Q35))
    rows = account(read_log(kernel, "x"), None)
    assert [(row.name, row.kib) for row in rows if row.total] == [
        ("RAM in the guest's map", 1572860),
        ("left at the Memory: line", 1572860 - 684152),
    ]
