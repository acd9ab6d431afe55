"""Inputs that are recognised and cannot be read: what they are, and what to do instead."""

from __future__ import annotations

from xenp2m.sources.stream.legacy import legacy_kind

__all__ = ["name_of_head"]

_PACKED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
}
_MAGICS = {
    (0xF00FEBED).to_bytes(4, "little"): "a PV core of before Xen 3.1, which is no ELF: dump the domain again",
    (0xF00FEBEE).to_bytes(
        4, "little"
    ): "an HVM core of before Xen 3.1, which is no ELF: dump the domain again",
    b"\x7fELF": "an ELF file that is no core of a Xen domain",
    b"KDUMP   ": "a kdump of a whole host: crash and libkdumpfile read it",
    b"DISKDUMP": "a diskdump of a whole host: crash and libkdumpfile read it",
    b"makedumpfile": "a flattened kdump: makedumpfile -R makes a file of it that crash reads",
    b"EMiL": "a LiME image of a machine's memory",
    b"QFI\xfb": "a qcow2 image",
    b"QEVM": "a saved state of QEMU",
    b"PK\x03\x04": "a zip archive, or an .npz that is none of ours",
    b"\x93NUMPY": "an array of numpy: only our own .npz tells whose map it is",
}


def name_of_head(head: bytes, name: str) -> str | None:
    """Say what begins with `head`, None where nothing known does.

    Args:
        head: the first 4096 bytes, or all of a shorter input.
        name: of the input, for the command to use instead.
    """
    if not head:
        return "an empty file"
    for magic, packer in _PACKED.items():
        if head.startswith(magic):
            file = "FILE" if name == "standard input" else name
            return (
                f"{packer} data: unpack it with '{packer} -dc {file} | xenp2m show -' "
                "(a core into a file of its own)"
            )
    if kind := legacy_kind(head):
        return kind
    for magic, text in _MAGICS.items():
        if head.startswith(magic):
            return text
    if not head.strip(b"\0"):
        return "nothing but zeros at its beginning: perhaps a raw image of memory"
    return None
