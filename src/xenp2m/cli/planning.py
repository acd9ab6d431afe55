"""The hosts that a verb is asked about: the options that describe one, and reading them with a bar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from xenp2m.cli.arguments import ADDRESS, FRAMES, GIB, MAX_PAGES, PAGES, SIZED, SPAN, VERSION
from xenp2m.cli.progress import progress
from xenp2m.cli.redaction import active
from xenp2m.intake import read_hosts
from xenp2m.kernelconfig import read_config
from xenp2m.logs.textfile import read_text
from xenp2m.options import Options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from xenp2m.intake import Item

__all__ = ["host_options", "hosts_of", "options_of", "other_host_options"]


_AXES = (
    click.option("--dom0-mem", metavar="VALUE", help="Plan with this dom0_mem= instead of the log's."),
    click.option("--kernel", type=VERSION, help="Linux version. [default: the log's, else the newest known]"),
    click.option("--rules", metavar="NAME",
                 help="Edit the P2M tree by other rules, such as seed (kernels to 3.18)."),
)  # fmt: skip
"""What a sweep has many values of."""

_OTHER_OPTIONS = (
    click.option("--variant", "variants", multiple=True, metavar="NAME=VALUE",
                 help="Set one rule of the kernel by hand, such as leftover=unusable or nvs=swap."),
    click.option("--extra", type=click.Choice(["behind", "contiguous"]),
                 help="Where kernels to 3.1 put extra memory. [default: behind the whole map]"),
    click.option("--bits", type=click.Choice(["32", "64"]),
                 help="Word size of the guest; 32 for kernels before 4.3. [default: 64]"),
    click.option("--xen", type=VERSION, help="Hypervisor version. [default: from the log]"),
    click.option("--nr-pages", type=PAGES, help="Pages that the builder populates."),
    click.option("--max-pages", type=MAX_PAGES, help="Maximum reservation."),
    click.option("--domu", is_flag=True, help="The guest is a domU: the map is the toolstack's."),
    click.option("--ibft/--no-ibft", default=None,
                 help="The kernel reserves 0x80000 - 0x100000 (CONFIG_ISCSI_IBFT_FIND)."),
    click.option("--hotplug-limit", type=GIB,
                 help="CONFIG_XEN_MEMORY_HOTPLUG_LIMIT; 0 without memory hotplug. [default: 512]"),
    click.option("--kernel-config", metavar="FILE",
                 help="The kernel's .config: version, hotplug limit, iBFT, E820 table."),
    click.option("--mem", "mem_limit", type=ADDRESS, help="mem= on Linux' own command line."),
    click.option("--image", type=SPAN, help="The kernel image, _text to _end."),
    click.option("--start-info", type=ADDRESS, help="The start info page."),
    click.option("--page-tables", type=SPAN, help="The builder's page tables."),
    click.option("--initrd", type=SIZED, help="The initial ramdisk, at its pseudo-physical address."),
    click.option("--p2m-frames", type=FRAMES, help="Frames of the builder's P2M list."),
)  # fmt: skip


def host_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a click command."""
    return _added(command, *_AXES, *_OTHER_OPTIONS)


def other_host_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add those of which a sweep takes one value: all but dom0_mem=, kernel and rules."""
    return _added(command, *_OTHER_OPTIONS)


def _added(command: Callable[..., Any], *options: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(options):
        command = option(command)
    return command


def options_of(said: dict[str, Any]) -> Options:
    """`Options` from what click collected."""
    name = said.pop("kernel_config")
    config = None
    if name is not None:
        config = read_config(read_text(name), "standard input" if name == "-" else name)
    bits = said.pop("bits")
    return Options(config=config, bits=None if bits is None else int(bits), **said)


def hosts_of(inputs: Sequence[str], options: Options) -> Iterator[Item]:
    """The hosts of `inputs`, as `read_hosts` has them, with a bar where a file is long."""
    with progress("reading, bytes") as tell:
        for item in read_hosts(inputs, options, look=active().learn_from, progress=tell):
            tell.close()
            yield item
