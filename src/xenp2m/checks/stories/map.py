"""What a map that was read from a file or a domain can be noticed for."""

from __future__ import annotations

from xenp2m.checks.stories.story import story
from xenp2m.findings import Severity

__all__ = ["MAP"]

_P2M = "arch/x86/xen/p2m.c"
_SAVE = "tools/libs/guest/xg_sr_save_x86_pv.c"

MAP = (
    story(
        "map-torn",
        Severity.WARNING,
        "The guest was changing its map while it was read",
        """The guest counts changes of its linear list in p2m_generation: odd from the first store of a change
        to the last. An odd number in the input means that the list was caught half-way, so that a
        page of it can be the old one or the new one. xl dump-core does not pause the domain.""",
        "Pause the domain and take the dump again.",
        f"xen_p2m generation counter, {_P2M}, since 3.19; arch_shared_info in Xen's public headers",
        trigger="an odd p2m_generation in the input",
    ),
    story(
        "map-duplicate",
        Severity.WARNING,
        "Two PFNs hold one machine frame",
        """Every machine frame of a guest has one PFN in Xen's own table, the M2P, so at most one of the PFNs
        is right. A map that was read while the guest exchanged frames shows it for a moment; a map
        at rest never does.""",
        "Read the map again from a paused domain; if it stays, the guest's P2M is damaged.",
        "machine_to_phys_mapping has one entry for each frame (Xen's public headers)",
        trigger="a machine frame behind more than one PFN, foreign ones left out",
    ),
    story(
        "map-entry-other",
        Severity.WARNING,
        "Entries carry the identity bit with another number",
        """An identity entry is the PFN itself with the identity bit. Here the number is another one, which no
        kernel writes: Linux warns when it meets such an entry and takes it for an error.""",
        "Read the same guest again; the list is damaged or was read from the wrong place.",
        f"get_phys_to_machine and set_phys_to_machine, {_P2M}; IDENTITY_FRAME in asm/xen/page.h",
        trigger="an entry with the identity bit whose number is not its PFN",
    ),
    story(
        "map-mfn-implausible",
        Severity.WARNING,
        "Machine frames beyond any machine",
        """A physical address of x86 has at most 52 bits, so a machine frame has at most 40. Tools refuse a
        frame above the highest one that Xen tells, and take the guest's list for damaged.""",
        "Check that the word size is right (32 or 64 bits) and that the file was not cut or joined.",
        f"mfn_in_pseudophysmap and the checks of the frame list, {_SAVE}, 4.17",
        trigger="a machine frame of more than 40 bits",
    ),
    story(
        "map-past-end",
        Severity.WARNING,
        "Frames beyond the guest's max_pfn",
        """The guest tells tools through shared_info how many entries its map has. Frames above that number
        belong to no page that dump-core or save looks at: they are in no core and are not
        restored.""",
        "Nothing for a guest that is being grown at this moment; else the guest tells the wrong number.",
        "arch.max_pfn, xc_domain_save and xc_core; Linux xen_setup_mfn_list_list and its updates",
        trigger="an entry with a frame at or above max_pfn",
    ),
    story(
        "map-listed-disagrees",
        Severity.WARNING,
        "The file's own table and the guest's list disagree",
        """The tool that wrote the file made a table of PFNs and frames from the guest's list, and the list
        itself lies in the pages of the file. They are the same map read at two moments; where they
        differ the guest changed it in between.""",
        "Take the dump from a paused domain.",
        "xc_domain_dumpcore_via_callback, tools/libs/guest/xg_core.c, 4.17",
        trigger="a PFN with one frame in the file's table and another in the list in its pages",
    ),
    story(
        "map-m2p-disagrees",
        Severity.WARNING,
        "Xen's M2P does not lead back to the PFN",
        """For every machine frame Xen keeps the PFN that its owner told. Save and dump-core take a page only
        if the two tables agree; one that does not come back is treated as gone, or the save stops.""",
        "Take both tables at one moment from a paused domain; a lasting difference is a damaged P2M.",
        f"mfn_in_pseudophysmap, {_SAVE}, 4.17",
        trigger="a machine frame whose M2P entry is not its PFN",
    ),
    story(
        "map-overlaps-e820",
        Severity.WARNING,
        "The map does not fit the guest's E820",
        """In a PV guest at rest every page of RAM is a machine frame or room for the balloon, and everything
        else is identity. A frame over a hole keeps a device's registers from being reached at
        their own address; identity over RAM takes memory away.""",
        "Where devices are passed through, keep the guest's memory below the holes of its map.",
        "xen_set_identity_and_remap, arch/x86/xen/setup.c, 4.3 and later; held against 24 real boots",
        trigger="frames or missing entries where the guest's E820 has no RAM, identity where it has",
    ),
    story(
        "save-loses-entries",
        Severity.NOTE,
        "A restore forgets identity and foreign entries",
        """Tools know one value that is no machine frame: all ones. Identity and foreign entries that stand in
        pages of the list by themselves are saved as pages without contents and come back as
        missing; Linux does not put them back. Identity that is told by the shared page survives.""",
        "Detach devices and unmap grants before a save or a migration.",
        f"write_batch and normalise_page, {_SAVE}, 4.17; seen on real guests",
        trigger="identity or foreign entries in a page of the list that is not shared",
    ),
    story(
        "save-refuses-list",
        Severity.ERROR,
        "Save and migration refuse this list",
        """Every page of the list must be a page of the guest: tools look each of its frames up in the M2P and
        stop at the first one that does not come back to a PFN ("Bad mfn in p2m_frame_list").""",
        "The list is damaged, or the domain was restored and has not run yet: unpause it once.",
        f"map_p2m_list and map_p2m_tree, {_SAVE}, 4.17",
        trigger="a page of the list whose frame is behind no PFN",
    ),
    story(
        "map-foreign",
        Severity.NOTE,
        "Frames of other domains are mapped",
        """These PFNs show frames of another domain, by a grant or by a tool's mapping. Their contents are not
        the guest's and are not saved with it.""",
        "Nothing: this is normal for a domain that serves others.",
        f"set_foreign_p2m_mapping, {_P2M}",
        trigger="entries with the foreign bit",
    ),
    story(
        "map-incomplete",
        Severity.WARNING,
        "A part of the input could not be read",
        """The file ends early or a part of it is damaged. What could be read is shown; frames of which
        nothing is known are unknown, not missing.""",
        "Take the dump again if the domain still runs.",
        "--salvage",
        trigger="--salvage, of an input with a part that cannot be read",
    ),
)
