"""A kernel's ``.config``."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenp2m.errors import InputError
from xenp2m.kernel import Version
from xenp2m.kernelconfig import KernelConfig, read_config

DEBIAN = """\
#
# Automatically generated file; DO NOT EDIT.
# Linux/x86 6.12.43 Kernel Configuration
#
CONFIG_CC_VERSION_TEXT="gcc-14 (Debian 14.2.0-19) 14.2.0"
CONFIG_XEN=y
CONFIG_XEN_PV=y
CONFIG_XEN_512GB=y
CONFIG_NODES_SHIFT=10
CONFIG_ISCSI_IBFT_FIND=y
CONFIG_ISCSI_IBFT=m
CONFIG_XEN_MEMORY_HOTPLUG_LIMIT=512
# CONFIG_XEN_DEBUG_FS is not set
"""


def test_a_distribution_kernel():
    assert read_config(DEBIAN, "config") == KernelConfig(
        Version(6, 12, 43), 512, ibft=True, e820_entries=3200
    )


def test_the_least_there_can_be():
    assert read_config("CONFIG_XEN_PV=y", "config") == KernelConfig(None, 0, ibft=False, e820_entries=131)


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("CONFIG_XEN_MEMORY_HOTPLUG_LIMIT=64", 64),
        ("CONFIG_XEN_BALLOON_MEMORY_HOTPLUG_LIMIT=4", 4),
        ("# CONFIG_XEN_MEMORY_HOTPLUG_LIMIT is not set", 0),
        ("#CONFIG_XEN_MEMORY_HOTPLUG_LIMIT=512", 0),
        ("CONFIG_XEN_MEMORY_HOTPLUG_LIMIT=many", 0),
        ("CONFIG_XEN_MEMORY_HOTPLUG_LIMIT=" + "9" * 5000, 0),
    ],
)
def test_hotplug_limit_under_both_names(text, limit):
    assert read_config(f"CONFIG_XEN_PV=y\n{text}\n", "config").p2m_limit_gb == limit


@pytest.mark.parametrize(
    ("line", "found"), [("=y", True), ("=m", False), ("=n", False), (" is not set", False)]
)
def test_ibft_is_built_in_or_not(line, found):
    text = f"{'# ' if 'set' in line else ''}CONFIG_ISCSI_IBFT_FIND{line}"
    assert read_config(f"CONFIG_XEN_PV=y\n{text}", "config").ibft is found


@pytest.mark.parametrize(
    ("shift", "entries"), [("0", 131), ("6", 320), ("10", 3200), ("99", 3200), ("x", 131)]
)
def test_capacity_follows_the_number_of_nodes(shift, entries):
    assert read_config(f"CONFIG_XEN_PV=y\nCONFIG_NODES_SHIFT={shift}", "config").e820_entries == entries


def test_the_last_line_of_an_option_counts_and_lines_may_end_in_cr():
    text = "CONFIG_XEN_PV=y\r\nCONFIG_NODES_SHIFT=0\r\nCONFIG_NODES_SHIFT=6\r\n"
    assert read_config(text, "config").e820_entries == 320


@pytest.mark.parametrize(
    "banner",
    ["# Linux/x86_64 5.10.223 Kernel Configuration", "# Linux/x86 5.10.223 Kernel Configuration"],
)
def test_version_of_the_banner(banner):
    assert read_config(f"{banner}\nCONFIG_XEN_PV=y", "config").version == Version(5, 10, 223)


def test_old_kernels_have_no_option_for_pv_alone():
    assert read_config("CONFIG_XEN=y", "config").version is None


@pytest.mark.parametrize(
    "text", ["", "hello", "[mem 0x0-0xfff] usable", "config_xen=y", "CONFIG_=", "\0" * 100]
)
def test_other_text_is_refused(text):
    with pytest.raises(InputError, match=r"config\.txt: expected a kernel's \.config, got no line"):
        read_config(text, "config.txt")


@pytest.mark.parametrize(
    "text", ["CONFIG_SMP=y", "CONFIG_XEN_PV=n", "# CONFIG_XEN_PV is not set", "CONFIG_XEN=y\nCONFIG_XEN_PV=m"]
)
def test_kernels_without_pv_are_refused(text):
    with pytest.raises(InputError, match="expected a kernel with CONFIG_XEN_PV=y"):
        read_config(text, "config.txt")


@given(
    st.text()
    | st.text().map("CONFIG_XEN_PV=y\n{}".format)
    | st.text().map("CONFIG_XEN_PV=y\nCONFIG_NODES_SHIFT={}".format)
)
def test_any_text_is_a_config_or_refused(text):
    try:
        config = read_config(text, "config.txt")
    except InputError:
        return
    assert 0 <= config.p2m_limit_gb < 10**6
    assert 131 <= config.e820_entries <= 3200
