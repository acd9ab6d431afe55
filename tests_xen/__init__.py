"""Boot a real Xen with a real PV dom0 in QEMU and hold the program's answers against it."""
