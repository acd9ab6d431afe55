import pytest

from xenp2m.logs.consolefacts import Running
from xenp2m.logs.consolelog import read_log

INFO = """\
host                   : box
release                : 6.1.0
total_memory           : 4095
free_memory            : 3028
xen_version            : 4.17.7
xen_commandline        : console=com1 dom0_mem=1024M,max:1536M
"""
STORE = """\
/local/domain/1/memory/static-max = "196608"
/local/domain/1/memory/target = "131072"
/local/domain/2/memory/target = "65536"
"""


def test_what_xl_info_tells():
    running = read_log(INFO).running
    assert (running.free_mib, running.xen_version) == (3028, "4.17.7")
    assert running.xen_cmdline == "console=com1 dom0_mem=1024M,max:1536M"


def test_what_xenstore_tells():
    assert read_log(STORE).running.domains == (
        (1, "static-max", 196608),
        (1, "target", 131072),
        (2, "target", 65536),
    )


@pytest.mark.parametrize(
    ("text", "fact", "value"),
    [
        ("MemTotal:         900540 kB\n", "mem_total_kib", 900540),
        ("Mem:         900540       22000      863124       8676       15000      858516\n", "mem_total_kib", 900540),
        ("Mem:           879Mi        21Mi       842Mi        8Mi        14Mi       838Mi\n", "mem_total_kib", 879 << 10),
        ("Mem:             879          21         842           8          14         838\n", "mem_total_kib", None),
        ("MemTotal:         900540 MB\n", "mem_total_kib", None),
    ],
)  # fmt: skip
def test_one_line(text, fact, value):
    running = read_log(text).running
    assert getattr(running, fact) == value
    if value is None:
        assert running == Running()
