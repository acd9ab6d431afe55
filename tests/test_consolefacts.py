import pytest

from consoles import Q35, SEVEN, console, split
from xenp2m.errors import InputError
from xenp2m.logs.consolefacts import merge
from xenp2m.logs.consolelog import read_log


def test_merged_facts_know_their_paste():
    xen, kernel = split(console(Q35))
    log = merge([read_log(xen, "xl.txt"), read_log(kernel, "dmesg.txt")])
    assert log.where("host_map").startswith("xl.txt:")
    assert log.where("linux_map").startswith("dmesg.txt:")
    assert log.where("printed.remapped").startswith("dmesg.txt:")


def test_logs_of_two_machines_do_not_go_together():
    xen, kernel = split(console(Q35))
    other_xen, other_kernel = split(console(SEVEN))
    with pytest.raises(InputError, match=r"b:1: expected the same xen_version as a:1: '4.17.7', got '4.20"):
        merge([read_log(xen, "a"), read_log(other_xen, "b")])
    with pytest.raises(InputError, match="the same linux_version"):
        merge([read_log(xen + kernel, "a"), read_log(other_kernel, "b")])
    changed = xen.replace("[0000000000100000, 000000007ffdbfff]", "[0000000000100000, 000000007ffd0fff]")
    with pytest.raises(
        InputError, match=r"the same host_map as a:.*: one of 10 entries, got one of 10 entries"
    ):
        merge([read_log(xen, "a"), read_log(changed, "b")])
    with pytest.raises(InputError):
        merge([])
