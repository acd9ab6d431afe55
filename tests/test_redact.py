import pytest

from consoles import BOOTS, console
from xenp2m.logs.redact import Redactor, learn_names

NAMES = sorted(path.parent.name for path in BOOTS.glob("*/console.log.xz"))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("eth0: 00:16:3e:aa:bb:cc up", "eth0: [mac] up"),
        ("from 10.0.0.7 to 10.0.0.8/24", "from [ip] to [ip]"),
        ("fe80::216:3eff:feaa:bbcc", "[ip]"),
        ("2001:db8:0:0:0:0:0:1", "[ip]"),
        ("root=/dev/mapper/vg-root ro", "root=[redacted] ro"),
        ("at /home/alice/src/x.c:12", "at /home/[user]/src/x.c:12"),
        ("Linux version 6.1.0 (alice@box) #1", "Linux version 6.1.0 ([mail]) #1"),
        ("DMI: Maker Box 9000/Board, BIOS 1.2", "DMI: [hardware]"),
        ("serial: ABC123", "serial: [serial]"),
        ("1234abcd-12ab-34cd-56ef-1234567890ab", "[uuid]"),
    ],
)
def test_what_goes(text, left):
    assert Redactor().text(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "Xen 4.17.7 · Linux 2.6.39.4 · PV dom0 · dom0_mem=1024M,max:1536M",
        "pfn=262144 mfn=1507487 R12: 0000000000040000",
        "0000:00:02.0 BAR0 0xfeb80000-0xfeb9ffff",
        "0x0-0x9efff usable; 00000000:000a0000",
        "RIP: e030:xen_remap_memory+0x1b3/0x287",
        "CONFIG_ISCSI_IBFT_FIND=y; MFNs ascend from 0x170000",
        "mem=800M memmap=4G$0x100000000 iommu=no-igfx",
        "12:34:56 line 12",
        "ffff82d04044ae10 -> ffff82d04045a586",
    ],
)
def test_what_stays(text):
    assert Redactor().text(text) == text


def test_names_are_learned_and_always_the_same():
    log = "Nov 22 18:00:01 mybox kernel: [ 1.0] x\nhost                   : other.example\n"
    assert learn_names(log) == {"mybox", "other.example", "other"}
    redactor = Redactor(names=learn_names(log))
    assert redactor.text("mybox and other.example and mybox") == redactor.text(
        "mybox and other.example and mybox"
    )
    assert "mybox" not in redactor.text("on mybox.")
    assert learn_names("Nov 22 18:00:01 linux kernel: x\n") == frozenset()


@pytest.mark.parametrize("name", NAMES[::3])
def test_numbers_of_real_consoles_stay(name):
    """Every line of a map is the same afterwards."""
    redactor = Redactor()
    lines = [
        line for line in console(name).splitlines() if "[mem 0x" in line or "usable" in line or "->" in line
    ]
    assert lines
    assert [redactor.text(line) for line in lines] == lines


def test_values_of_json():
    value = {"a": ["10.0.0.7", 5, None, {"b": "x"}], "10.0.0.7": True}
    assert Redactor().value(value) == {"a": ["[ip]", 5, None, {"b": "x"}], "10.0.0.7": True}
    assert Redactor(on=False).value(value) is value
