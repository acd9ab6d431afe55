"""Images and tables: what other programs would read out of them."""

import csv
import io
import json
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile

from sources import FOREIGN, IDENTITY, INVALID, OneByOne, Pages, source_of, table, walkable
from xenp2m.errors import InputError
from xenp2m.export.images import write_elf, write_flat
from xenp2m.export.pagetables import PageTables
from xenp2m.export.tables import COLUMNS, write_csv, write_parquet
from xenp2m.extents import Run
from xenp2m.frames import PAGE_SIZE, Kind
from xenp2m.maps.pagewalk import walk
from xenp2m.p2m import P2M
from xenp2m.sources.feed import PipeFeed
from xenp2m.sources.stream.reader import read as read_stream
from xenp2m.sources.synth_stream import synth_stream

MAP = [5, 6, INVALID, IDENTITY | 3, 9, 8, 7, FOREIGN | 4, IDENTITY | 1]
RUNS = [
    (0, 2, "mfn", 5, 1),
    (2, 3, "missing", None, 0),
    (3, 4, "identity", None, 0),
    (4, 7, "mfn", 9, -1),
    (7, 8, "foreign", 4, 1),
    (8, 9, "other", IDENTITY | 1, 1),
]


def flat(source):
    file = io.BytesIO()
    return write_flat(source, file), file.getvalue()


def plain_walk(image, root, vaddr):
    """What a reader that knows nothing of Xen finds: four levels of physical addresses."""
    address = root << 12
    for shift in (39, 30, 21, 12):
        at = address + (vaddr >> shift & 511) * 8
        entry = int.from_bytes(image[at : at + 8], "little")
        if not entry & 1:
            return None
        address = entry & 0x000F_FFFF_FFFF_F000
    return address + vaddr % PAGE_SIZE


def test_a_flat_image_has_every_page_at_its_place():
    source = walkable()
    told, image = flat(source)
    assert told.pages == 13
    assert len(image) == 16 * PAGE_SIZE
    for pfn in range(16):
        page = image[pfn * PAGE_SIZE : (pfn + 1) * PAGE_SIZE]
        if pfn not in (1, 2, 3, 4):
            assert page == (source.memory.page(pfn) or bytes(PAGE_SIZE))


def test_page_tables_of_an_image_lead_to_pfns():
    _, image = flat(walkable())
    assert plain_walk(image, 1, 0x5ABC) == 0x5ABC
    assert plain_walk(image, 1, 0x6123) == 0x9123, "a foreign frame is found at its PFN"
    assert plain_walk(image, 1, 0x7000) == 0xA000, "a device frame stays"
    assert plain_walk(image, 1, 0x8000) is None, "a frame of nobody is not mapped"
    assert plain_walk(image, 1, 0x9000) is None
    assert plain_walk(image, 1, 256 << 39) is None, "Xen's own slots are gone"


def test_flags_and_entries_that_are_not_present_stay():
    source = walkable()
    tables = PageTables(source)
    words = np.frombuffer(tables.converted(4, source.memory.page(4)), np.uint64)
    assert words[5] == 0x5067
    assert words[9] == 0x1234000
    assert tables.levels == {1: 4, 2: 3, 3: 2, 4: 1}
    assert tables.cleared == 1
    page = source.memory.page(5)
    assert tables.converted(5, page) == page


def test_a_pae_guests_top_table_has_four_entries():
    source = walkable(bits=32)
    tables = PageTables(source)
    words = np.frombuffer(tables.converted(1, source.memory.page(1)), np.uint64)
    assert (words[0], words[5]) == (0x3067, 0x123067)
    assert tables.levels == {1: 3, 3: 2, 4: 1}


def test_a_stream_holds_pfns_already():
    source = walkable(frames="pfn")
    told, image = flat(source)
    assert told.tables == 0
    assert image[PAGE_SIZE : 2 * PAGE_SIZE] == source.memory.page(1)
    assert walk(source, 1, 0x5000).frame == 5


def test_a_table_that_names_itself_ends():
    pages = {0: table({0: 0x100067, 1: 0x101067}), 1: table({0: 0x100067})}
    source = walkable()
    source = replace(
        source_of([0x100, 0x101], memory=Pages(pages)), guest=replace(source.guest, cr3=(0x100,))
    )
    assert PageTables(source).levels == {0: 4, 1: 3}


def test_an_elf_core_has_every_page_by_its_physical_address():
    source = walkable()
    file = io.BytesIO()
    write_elf(source, file)
    elf = ELFFile(file)
    assert (elf["e_type"], elf["e_machine"]) == ("ET_CORE", "EM_X86_64")
    loads = [segment for segment in elf.iter_segments() if segment["p_type"] == "PT_LOAD"]
    assert [(s["p_paddr"] >> 12, s["p_filesz"] >> 12) for s in loads] == [(0, 9), (12, 4)]
    image = bytearray(16 * PAGE_SIZE)
    for segment in loads:
        image[segment["p_paddr"] : segment["p_paddr"] + segment["p_filesz"]] = segment.data()
    assert bytes(image) == flat(source)[1]


TEXT = b"OSRELEASE=6.1.0\nPAGESIZE=4096\nSYMBOL(swapper_pg_dir)=ffffffff82c22000\nKERNELOFFSET=0\n"
TEXT += b"NUMBER(phys_base)=0\nNUMBER(pgtable_l5_enabled)=0\n" + b"SIZE(page)=64\n" * 400


def described():
    """Two pages that hold a kernel's VMCOREINFO."""
    note = (11).to_bytes(4, "little") + len(TEXT).to_bytes(4, "little") + bytes(4) + b"VMCOREINFO\0\0" + TEXT
    return {2: note[:PAGE_SIZE], 3: note[PAGE_SIZE:].ljust(PAGE_SIZE, b"\0")}


def test_vmcoreinfo_becomes_a_note():
    pages = described()
    file = io.BytesIO()
    told = write_elf(source_of([1, 2, 3, 4], memory=Pages(pages)), file)
    assert told.vmcoreinfo
    (found,) = [s for s in ELFFile(file).iter_segments() if s["p_type"] == "PT_NOTE"]
    assert [
        (n["n_name"], n["n_desc"] if isinstance(n["n_desc"], bytes) else n["n_descdata"])
        for n in found.iter_notes()
    ] == [("VMCOREINFO", TEXT)]
    cut = write_elf(source_of([1, 2, 3, 4], memory=Pages({2: pages[2]})), io.BytesIO())
    assert not cut.vmcoreinfo


@pytest.fixture
def image(tmp_path):
    """An ELF of four frames whose last two hold VMCOREINFO."""
    path = tmp_path / "vm.elf"
    with path.open("wb") as file:
        write_elf(source_of([1, 2, 3, 4], memory=Pages(described() | {1: bytes(range(256)) * 16})), file)
    return path


def test_drgn_reads_an_image(image):
    drgn = pytest.importorskip("drgn", reason="needs drgn: pip install drgn")
    program = drgn.Program()
    program.set_core_dump(image)
    assert program.read(0x1010, 16, physical=True) == bytes(range(16, 32))


def test_volatility3_reads_an_image(image):
    contexts = pytest.importorskip(
        "volatility3.framework.contexts", reason="needs volatility3: pip install volatility3"
    )
    from volatility3.framework.layers import elf, physical

    context = contexts.Context()
    context.config["file.location"] = image.as_uri()
    context.add_layer(physical.FileLayer(context, "file", "file"))
    context.config["elf.base_layer"] = "file"
    assert elf.Elf64Layer(context, "elf", "elf").read(0x1010, 16) == bytes(range(16, 32))


@pytest.mark.skipif(not shutil.which("crash"), reason="needs crash: apt install crash")
def test_crash_takes_an_image_for_a_kdump(image):
    shown = subprocess.run(["crash", "--osrelease", image], capture_output=True, text=True, check=True)
    assert shown.stdout.split() == ["6.1.0"]


def test_an_image_has_what_crash_knows_a_kdump_by(image):
    """``is_netdump`` of crash 8.0: no alignment; else it is a netdump, whose VMCOREINFO is not looked at."""
    with image.open("rb") as file:
        loads = [s for s in ELFFile(file).iter_segments() if s["p_type"] == "PT_LOAD"]
        assert {s["p_align"] for s in loads} == {0}


def test_more_stretches_than_an_elf_header_can_count():
    number = 0x10001
    page = bytes([7]) * PAGE_SIZE

    class Every(OneByOne):
        def page(self, pfn):
            return page if pfn in (0, 2 * number - 2) else bytes(PAGE_SIZE)

        def pfns(self):
            return np.arange(0, 2 * number, 2, dtype=np.uint64)

    class Sink(io.RawIOBase):
        """A file of which only what was written is kept."""

        def __init__(self):
            self.parts, self.at = {}, 0

        def seek(self, offset, whence=0):
            self.at = offset

        def write(self, data):
            self.parts[self.at] = bytes(data)
            self.at += len(data)

        def truncate(self, size=None):
            self.size = size

    sink = Sink()
    assert write_elf(source_of([1], memory=Every()), sink).pages == number
    head = sink.parts[0]
    assert int.from_bytes(head[56:58], "little") == 0xFFFF
    section = int.from_bytes(head[40:48], "little")
    assert int.from_bytes(head[section + 44 : section + 48], "little") == number + 1
    last = head[64 + 56 * number : 64 + 56 * (number + 1)]
    offset, paddr = (int.from_bytes(last[at : at + 8], "little") for at in (8, 24))
    assert paddr == (2 * number - 2) * PAGE_SIZE
    assert sink.parts[offset] == page


def test_no_image_without_memory():
    for write in (write_flat, write_elf):
        with pytest.raises(InputError, match="the guest's memory"):
            write(source_of([1]), io.BytesIO())
        with pytest.raises(InputError, match="the guest's memory"):
            write(source_of([1], memory=Pages({})), io.BytesIO())


def test_no_image_of_a_pipe_that_has_passed():
    """Of a pipe a few pages are kept: an image of them would look like a guest full of zeros."""
    data = synth_stream(P2M([Run(0, 64, Kind.MFN, 9, 1)]))
    stream = io.BytesIO(data)
    source = read_stream(PipeFeed("a pipe", lambda room: stream.readinto(room.data)))
    assert source.memory.page(int(source.leaves.frames[0])) is not None
    for write in (write_flat, write_elf):
        with pytest.raises(InputError, match="a pipe: expected a file"):
            write(source, io.BytesIO())


def test_csv():
    file = io.BytesIO()
    write_csv(source_of(MAP), file)
    rows = list(csv.reader(io.StringIO(file.getvalue().decode(), newline="")))
    assert tuple(rows[0]) == COLUMNS
    assert [(int(a), int(b), k, int(m) if m else None, int(s)) for a, b, k, m, s in rows[1:]] == RUNS


def test_parquet():
    pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow is missing: pip install 'xenp2m[arrow]'")
    file = io.BytesIO()
    write_parquet(source_of(MAP), file)
    read = pq.read_table(file)
    assert [tuple(row.values()) for row in read.to_pylist()] == RUNS
    assert read.schema.metadata[b"xenp2m.format"] == b"made by hand"
    assert json.dumps(read.column_names) == json.dumps(list(COLUMNS))


def readonly_guest(other):
    """A walkable guest whose PFNs 12 and 13 are mapped without the write bit, 14 with it, 12 holding `other`."""
    source = walkable()
    pages = {pfn: source.memory.page(pfn) for pfn in source.memory.pfns().tolist()}
    leaves = np.frombuffer(pages[4], np.uint64).copy()
    leaves[20:23] = [0x10C065, 0x10D065, 0x10E067]
    pages |= {4: leaves.tobytes(), 12: table(other), 14: table({0: 0x105067})}
    return replace(source, memory=Pages(pages))


@pytest.mark.parametrize(
    ("other", "level"),
    [
        ({0: 0x105067, 511: 0x10F065}, 1),
        ({0: 0x105067, 256: 0x5555063}, 4),
        ({0: 0x105067, 7: 0x5555067}, None),
        ({0: 0x105061}, None),
        ({256: 0x5555063}, None),
        ({0: 0x105066}, None),
    ],
)
def test_tables_of_other_processes_are_known_by_their_mapping(other, level):
    tables = PageTables(readonly_guest(other))
    assert tables.levels.get(12) == level
    assert 13 not in tables.levels
    assert 14 not in tables.levels, "what can be written is no page table"


def test_tables_of_other_processes_lose_xens_slots():
    source = readonly_guest({0: 0x105067, 256: 0x5555063})
    words = np.frombuffer(PageTables(source).converted(12, source.memory.page(12)), np.uint64)
    assert (words[0], words[256]) == (0x5067, 0)
