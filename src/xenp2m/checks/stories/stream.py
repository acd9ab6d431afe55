"""What a migration stream can have that a sound one does not."""

from __future__ import annotations

from xenp2m.checks.stories.story import story
from xenp2m.findings import Severity

__all__ = ["STREAM"]

_SPEC = "docs/specs/libxc-migration-stream.pandoc, Xen 4.6 to 4.20"
_RESTORE = "tools/libs/guest/xg_sr_restore.c"
_PV = "tools/libs/guest/xg_sr_restore_x86_pv.c"
_COPY = "Copy the file again, or save the domain again."
_SAVE = "Save the domain again, and report the toolstack that wrote this."

_STRUCTURE = (
    story(
        "stream-truncated",
        Severity.ERROR,
        "The stream ends in the middle",
        """A header or a record is longer than what is left of the input. Restoring fails, and what came
        after this place is lost. The pages before it can still be read with --salvage.""",
        _COPY,
        f"read_record, {_RESTORE}",
        trigger="a header or a record that is longer than the rest of the input",
    ),
    story(
        "stream-header",
        Severity.ERROR,
        "A header that no restore takes",
        """A field of the headers in front of the records (xl's, libxl's, the image header, the domain
        header) has a value that the restoring side refuses: another magic or version, big-endian
        records, a type of guest or a page size that does not exist.""",
        _COPY,
        f"read_headers, {_RESTORE}; verify_header, tools/libs/light/libxl_stream_read.c",
        trigger="a field in front of the records with a value that no restore takes",
    ),
    story(
        "stream-record-type",
        Severity.ERROR,
        "A mandatory record of an unknown type",
        """The restoring side may skip a record that it does not know only where bit 31 of the type is set.
        This one has it clear.""",
        "Restore with the version of Xen that wrote the stream.",
        f"process_record, {_RESTORE}",
        trigger="a record of an unknown type whose bit 31 is clear",
    ),
    story(
        "stream-record-size",
        Severity.ERROR,
        "A record's length does not fit what it holds",
        """The length of every record follows from its type and its own counts. Here it does not, so
        everything in the record is in doubt. More than 128 MiB is refused whatever the type.""",
        _COPY,
        f"handle_page_data, read_record (REC_LENGTH_MAX), {_RESTORE}; {_PV}",
        trigger="a record whose length is not what its type and counts ask for, or above 128 MiB",
    ),
    story(
        "stream-page-count",
        Severity.ERROR,
        "A page record without pages, or with more than it has room for",
        """PAGE_DATA says how many PFNs it holds. None is an error, and so are more than its length has
        room for.""",
        _COPY,
        f"handle_page_data, {_RESTORE}",
        trigger="a page record that counts no pages, or more than its length has room for",
    ),
    story(
        "stream-page-type",
        Severity.ERROR,
        "A PFN of a type that does not exist",
        """Types 5 to 8 of a PFN word mean nothing, and its bits 52 to 59 must be zero.""",
        _COPY,
        f"handle_page_data, {_RESTORE}",
        trigger="a PFN word of type 5 to 8, or with one of bits 52 to 59 set",
    ),
    story(
        "stream-order",
        Severity.ERROR,
        "Records in an order that no restore takes",
        """Some records need others before them: X86_PV_INFO before the frame list, the frame list before
        pages, STATIC_DATA_END once and before any of them from version 3 on. Or a record belongs to
        another kind of guest.""",
        _SAVE,
        f"handle_static_data_end, {_RESTORE}; handle_x86_pv_p2m_frames, {_PV}",
        trigger="a record before one that it needs, twice where once is allowed, or of another kind of guest",
    ),
    story(
        "stream-absent",
        Severity.ERROR,
        "A record that every guest needs is absent",
        """A stream of a PV guest without its frame list, shared info or vCPU contexts, or one of an HVM
        guest without its context, cannot start anything.""",
        _SAVE,
        f"x86_pv_stream_complete, {_PV}",
        trigger="the end of a stream that never had a record which its kind of guest needs",
    ),
    story(
        "stream-reserved",
        Severity.WARNING,
        "A reserved field is not zero",
        """Nobody reads the field today. Someone wrote into it who knows more, or the stream is damaged.""",
        _COPY,
        _SPEC,
        trigger="a reserved field that is not zero",
    ),
    story(
        "stream-padding",
        Severity.WARNING,
        "Padding is not zero",
        """Bodies are padded with zeros to eight bytes. No restore looks at them; what else stands there
        is damage, or memory of the tool that wrote it.""",
        _COPY,
        _SPEC,
        trigger="a byte of padding that is not zero",
    ),
    story(
        "stream-trailing",
        Severity.WARNING,
        "Something follows the end of the stream",
        """Behind the last record there are more bytes. No restore reads them. Two files may have been
        joined, or a longer one been written over.""",
        _COPY,
        _SPEC,
        trigger="bytes behind the end of the last layer",
    ),
)

_MAP = (
    story(
        "stream-guest",
        Severity.ERROR,
        "Word size and page tables do not go together",
        """A 64-bit guest has four levels of page tables and a 32-bit one three. There is no other PV
        guest.""",
        _COPY,
        f"handle_x86_pv_info, {_PV}",
        trigger="X86_PV_INFO with anything but 64 bits and 4 levels, or 32 bits and 3",
    ),
    story(
        "stream-frame-list",
        Severity.ERROR,
        "The frame list does not fit its range",
        """X86_PV_P2M_FRAMES says which PFNs the list covers (the last one included) and names one page for
        every 512 of them (1024 of a 32-bit guest). The range is upside down, or the pages are more or
        fewer than it needs.""",
        _COPY,
        f"handle_x86_pv_p2m_frames, {_PV}",
        trigger="X86_PV_P2M_FRAMES with a range upside down, or with pages too few or too many for it",
    ),
    story(
        "stream-pfn-range",
        Severity.ERROR,
        "A PFN beyond the end of the guest's list",
        """Pages belong to PFNs of the list, and so do the pages of the list itself. Restoring fails on one
        beyond its end.""",
        _COPY,
        f"x86_pv_pfn_is_valid, {_PV}",
        trigger="a page, or a page of the list, at a PFN beyond the list's end",
    ),
    story(
        "stream-list-page",
        Severity.ERROR,
        "A page of the P2M list is not in the stream",
        """The last record of that PFN carries no page, or there is none. The restored guest would run on a
        list that nobody wrote.""",
        _SAVE,
        f"update_guest_p2m, {_PV}",
        trigger="a page of the list whose last record carries no page",
    ),
    story(
        "stream-list-page-type",
        Severity.WARNING,
        "A page of the P2M list has the type of a page table",
        """Pages of the list are ordinary memory. One that is sent as a page table has its entries changed
        on the way from MFNs to PFNs and back.""",
        _SAVE,
        "normalise_pagetable, tools/libs/guest/xg_sr_save_x86_pv.c",
        trigger="a page of the list whose last record has the type of a page table",
    ),
    story(
        "stream-list-shared",
        Severity.NOTE,
        "Entries that are identity or missing, unknown which",
        """A page of all ones stands at many places of the list. Linux has two such pages, one for identity
        and one for missing entries, and in the tree that tools walk the same page stands for both.""",
        "Nothing to do. A core dump or the running domain shows the page tables, which tell.",
        "xen_build_mfn_list_list and xen_rebuild_p2m_list, arch/x86/xen/p2m.c, 3.19",
        trigger="one page of all ones at several places of the list",
    ),
    story(
        "stream-map-disagrees",
        Severity.WARNING,
        "The guest's list and the stream's types disagree",
        """A PFN with a frame in the list comes without a page, or one without a frame comes with a page. On
        a guest that was paused properly this does not happen; it does where a page could not be read and
        no later record mended it.""",
        _SAVE,
        "write_batch, tools/libs/guest/xg_sr_save.c",
        trigger="a frame in the list and no page in the stream, or the other way round",
    ),
    story(
        "stream-mfn-twice",
        Severity.WARNING,
        "Two PFNs share one machine frame",
        """The guest's list names a frame twice. Each of the two gets a frame of its own when the domain is
        restored, so what was one page becomes two.""",
        "Look at the driver that maps the frame twice.",
        "Xen's M2P holds one PFN for each frame",
        trigger="a machine frame behind two PFNs of the list",
    ),
    story(
        "stream-mfn-range",
        Severity.WARNING,
        "A frame number that no machine has",
        """An entry without flags is larger than the largest frame number of x86 (52 bits of address).""",
        "The list is damaged, or not a list: look at what else is wrong.",
        "MAX_PADDR of x86",
        trigger="an entry of the list without flags above the largest frame of x86",
    ),
    story(
        "stream-pte-range",
        Severity.ERROR,
        "A page table entry points beyond the guest's list",
        """Page tables in a stream hold PFNs. Restoring fails on one beyond the end of the list, and on a
        superpage.""",
        _SAVE,
        f"x86_pv_localise_page, {_PV}",
        trigger="a present entry of a page table that names a PFN beyond the list, or a superpage",
    ),
    story(
        "stream-special-page",
        Severity.ERROR,
        "Start info, console or xenstore page cannot be restored",
        """The restoring side changes frame numbers in the start info page, which names the pages of the
        console and of xenstore. One of them is out of range, is a page table, or has no page.""",
        _SAVE,
        f"process_start_info, {_PV}",
        trigger="a page of start info, console or xenstore out of range, untold, or not an ordinary page",
    ),
    story(
        "stream-pfn-again",
        Severity.NOTE,
        "PFNs are told more than once",
        """The last record of a PFN wins. Live migration and checkpoints send changed pages again, and page
        tables that could not be read at first; in a stream of a paused domain it is unusual.""",
        "Nothing to do.",
        f"process_page_data, {_RESTORE}",
        trigger="a PFN that more than one record tells",
    ),
    story(
        "stream-pfn-untold",
        Severity.NOTE,
        "PFNs of the list that the stream never tells",
        """A whole save tells every PFN of the list, those without a frame included.""",
        "Nothing to do where the stream was cut on purpose.",
        "send_all_pages, tools/libs/guest/xg_sr_save.c",
        trigger="a PFN of the list that no record tells",
    ),
    story(
        "stream-identity-map",
        Severity.WARNING,
        "Identity entries where the memory map has RAM",
        """The guest's list maps a stretch to the frames of the same number, where the memory map that it
        was compared with says RAM.""",
        "See that the map belongs to this guest.",
        "xen_set_identity_and_remap, arch/x86/xen/setup.c",
        trigger="identity entries in the list where the map given beside it has RAM",
    ),
)

STREAM = (*_STRUCTURE, *_MAP)
