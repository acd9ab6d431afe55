"""The hosts of a sweep: rows of JSON Lines, one log, or every log of a directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from xenp2m.errors import InputError
from xenp2m.intake import read_hosts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from xenp2m.host import Host
    from xenp2m.intake import Item
    from xenp2m.options import Options

__all__ = ["Fleet", "read_fleet"]


class Fleet(NamedTuple):
    """What could be read, and what could not.

    Attributes:
        hosts: names and hosts, in the order of the input.
        skipped: places and reasons of files and rows that are no host.
    """

    hosts: list[tuple[str, Host]]
    skipped: list[tuple[str, str]]


def read_fleet(paths: Sequence[str], options: Options) -> Fleet:
    """Read every host.

    A directory is a host for each log in it, or many for a file of rows; what has no map is skipped and
    counted. Files that are named belong together as they do for a plan. No path is the bundled host.

    Raises:
        InputError: a named file that cannot be used, an empty directory, or no host at all.
    """
    fleet = Fleet([], [])
    folders = [path for path in paths if path != "-" and Path(path).is_dir()]
    named = [path for path in paths if path not in folders]
    if named or not folders:
        _take(fleet, read_hosts(named, options))
    for folder in folders:
        files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        if not files:
            raise InputError(folder, "a directory with logs or JSON hosts", "an empty one")
        for file in files:
            try:
                _take(fleet, read_hosts([str(file)], options))
            except InputError as error:
                fleet.skipped.append((str(file), " ".join(str(error).split())))
    if not fleet.hosts:
        where, reason = fleet.skipped[0]
        if len(fleet.skipped) == 1 and named:
            raise InputError(where, "a host", reason)
        raise InputError(", ".join(paths)[:60], "a host", f"{len(fleet.skipped)} without, such as {reason}")
    return fleet


def _take(fleet: Fleet, items: Iterable[Item]) -> None:
    for item in items:
        if item.host is None:
            fleet.skipped.append((item.where, " ".join(str(item.error).split())))
        else:
            fleet.hosts.append((item.where if item.id is None else str(item.id), item.host))
