"""Reading a running domain, with cores of real guests in the place of the hypervisor."""

import numpy as np
import pytest

import xenp2m
from cores_data import ALL, unpack
from xenp2m.errors import InputError, UnsupportedError
from xenp2m.sources import live, xenlibs
from xenp2m.sources.binary import Binary
from xenp2m.sources.core import reader as core
from xenp2m.sources.core.elf import SHARED, read_elf
from xenp2m.sources.layout import SHARED_INFO, frame_to_cr3
from xenp2m.sources.xenlibs import DOMID_SELF, Domain

SHARED_MFN = 0xABCDE


class Machine:
    """A toolstack that answers from a core; `generations` are what the guest counts, one a look."""

    xen = "4.17"

    def __init__(self, path, generations=()):
        self.source = core.read(path)
        with Binary(path) as file:
            section = read_elf(file, salvage=False).sections[SHARED]
            self.shared = np.frombuffer(file.read(section.offset, 4096, "shared info"), np.uint8).copy()
        self.generations = list(generations)
        self.asked = set()

    def domain(self, domid):
        word = self.source.guest.geometry.word
        registers = tuple(frame_to_cr3(frame, word) for frame in self.source.guest.cr3)
        return Domain(domid, SHARED_MFN, len(self.source.memory.pfns()), word, registers)

    def pages(self, domid, mfns):
        self.asked.add(domid)
        content, there = self.source.memory.frames(mfns)
        for index in np.flatnonzero(mfns == SHARED_MFN):
            if self.generations:
                kind = SHARED_INFO[self.source.guest.geometry.word]
                self.shared[: kind.itemsize].view(kind)["p2m_generation"] = self.generations.pop(0)
            content[index], there[index] = self.shared, True
        return content, there


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("live")


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(live, "sleep", lambda seconds: None)


@pytest.mark.parametrize("name", ALL)
def test_a_domain_is_read_as_its_core_is(name, folder):
    machine = Machine(unpack(name, folder))
    found, dumped = live.read("live:7", toolstack=machine), machine.source
    assert machine.asked == {7}
    assert found.p2m.extents() == dumped.p2m.extents()
    assert found.leaves.frames.tolist() == dumped.leaves.frames.tolist()
    assert (found.leaves.identity, found.leaves.missing) == (dumped.leaves.identity, dumped.leaves.missing)
    assert found.guest.cr3 == dumped.guest.cr3
    assert found.guest.form == dumped.guest.form
    assert (found.origin.name, found.lost) == ("live:7", ())
    for pfn in (0, 1, int(dumped.memory.pfns()[-1])):
        assert found.memory.page(pfn) == dumped.memory.page(pfn)
    assert found.memory.pfns().tolist() == dumped.memory.pfns().tolist()


@pytest.mark.parametrize("name", ["live:self", "live:0"])
def test_dom0_is_mapped_as_self(name, folder):
    machine = Machine(unpack("tiny64-both", folder))
    live.read(name, toolstack=machine)
    assert machine.asked == {DOMID_SELF}


def test_a_page_that_is_not_the_guests_own_is_not_read(folder):
    machine = Machine(unpack("tiny64-both", folder))
    found = live.read("live:7", toolstack=machine)
    for run in found.p2m.extents():
        assert (found.memory.page(run.start) is None) == (run.kind.value != "mfn")
    assert found.memory.page(1 << 50) is None


@pytest.mark.parametrize("generations", [[4, 6, 6], [5, 6, 6], [5, 5, 6, 6]])
def test_a_list_that_changes_is_read_again(generations, folder):
    machine = Machine(unpack("tiny64-both", folder), generations)
    found = live.read("live:7", toolstack=machine)
    assert not machine.generations
    assert found.guest.generation == 6
    assert found.lost == ()


@pytest.mark.parametrize("generations", [[7] * 20, list(range(2, 42, 2))])
def test_a_list_that_never_keeps_still_is_refused_or_said(generations, folder):
    path = unpack("tiny64-both", folder)
    with pytest.raises(InputError, match="changed while it was read, 5 times"):
        live.read("live:7", toolstack=Machine(path, generations))
    found = live.read("live:7", salvage=True, toolstack=Machine(path, generations))
    assert "changed while it was read" in found.lost[-1]


@pytest.mark.parametrize(
    "name", ["live:", "live:x", "live:-1", "live:99999", "live:1 ", "live:²", "live:selfish"]
)
def test_a_name_that_is_none(name):
    with pytest.raises(InputError, match="live:self, or live: and a domain's number"):
        live.read(name)


def no_library(name, **options):
    raise OSError(f"{name}: cannot open shared object file")


def test_no_leave_to_map(folder, monkeypatch):
    machine = Machine(unpack("tiny64-both", folder))
    monkeypatch.setattr(
        machine,
        "pages",
        lambda domid, mfns: (np.zeros((len(mfns), 4096), np.uint8), np.zeros(len(mfns), bool)),
    )
    with pytest.raises(InputError, match=r"live:7: expected to map its shared_info \(MFN 0xabcde\)"):
        live.read("live:7", toolstack=machine)


@pytest.mark.parametrize(
    ("version", "error", "words"),
    [
        (None, InputError, "a domain under Xen"),
        ("4.13", UnsupportedError, "4.14 to 4.21, whose libraries are known, got Xen 4.13"),
        ("5.0", UnsupportedError, "got Xen 5.0"),
        ("4.17", InputError, "libxenctrl.so.4.17, which belongs to the running Xen 4.17"),
        ("x.y", InputError, "a domain under Xen"),
    ],
)
def test_machines_that_cannot_be_read(version, error, words, tmp_path, monkeypatch):
    monkeypatch.setattr(xenlibs, "_VERSION", tmp_path)
    monkeypatch.setattr(xenlibs.ctypes, "CDLL", no_library)
    if version:
        for part, text in zip(("major", "minor"), version.split("."), strict=True):
            (tmp_path / part).write_text(text + "\n")
    with pytest.raises(error, match="live: expected") as caught:
        xenp2m.open("live:self")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
