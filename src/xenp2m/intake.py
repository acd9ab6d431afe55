"""Intake: from files of any known kind to hosts. Logs are merged to one host, JSON gives many."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple

from xenp2m.errors import InputError, shorten
from xenp2m.hostrow import host_of_row
from xenp2m.logs.longlog import read_long
from xenp2m.logs.oneboot import left_out, one_boot
from xenp2m.recover import host_of_log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from xenp2m.host import Host
    from xenp2m.logs.longlog import Text
    from xenp2m.options import Options

__all__ = ["BUNDLED", "Item", "read_hosts"]

BUNDLED = "host.log.xz"
"""The bundled console: a real boot of Xen 4.17 and Linux 6.1 on 4 GiB, captured for this project."""


class Item(NamedTuple):
    """One host, or the reason why there is none.

    Attributes:
        id: the row's ``id``; the file's name for a log.
        where: file and row, for people.
        host: the host, or None.
        title: what is known of it, in one line.
        error: why there is no host, or None.
        is_row: whether it came from JSON.
    """

    id: Any
    where: str
    host: Host | None = None
    title: str = ""
    error: InputError | None = None
    is_row: bool = False


def read_hosts(
    paths: Sequence[str],
    options: Options,
    *,
    look: Callable[[str], None] = lambda text: None,
    progress: Callable[[int], object] = lambda done: None,
) -> Iterator[Item]:
    """Read hosts.

    Args:
        paths: files or ``-`` for standard input; none for the bundled host. All logs among them
            belong to one host (hypervisor and dom0 console in one file or two).
        options: what the user said.
        look: is shown each text, before anything is read of it.
        progress: called with the bytes of a long file behind us.

    Yields:
        Items in the order of the input, the host of the logs last.
    """
    texts: list[Text] = []
    for path in paths:
        text = read_long(path, whole=_is_json, progress=progress)
        look(text.text)
        if _is_json(text.text):
            yield from _rows(text, options)
        else:
            texts.append(text)
    if not paths:
        with resources.as_file(resources.files("xenp2m").joinpath("data", BUNDLED)) as file:
            texts.append(read_long(file)._replace(name="the bundled host"))
    if texts:
        name = ", ".join(text.name for text in texts)
        log, _ = one_boot(texts)
        try:
            host, title = host_of_log(log, options)
        except InputError as error:
            yield Item(name, name, error=error)
        else:
            host = replace(host, assumed=(*host.assumed, *left_out(log)))
            yield Item(name, name, host, f"{title}   from {name}")


def _is_json(text: str) -> bool:
    """Whether a text is meant as JSON; a kernel's log may begin with ``[`` as well."""
    head = text[:4096].lstrip()
    if head.startswith("[") and head[1:].lstrip()[:1] in ("{", "]"):
        return True
    return head.startswith("{") or '\n{"' in head


def _rows(text: Text, options: Options) -> Iterator[Item]:
    for where, value in _values(text.text, text.name):
        row_id = value.get("id") if isinstance(value, dict) else None
        try:
            if isinstance(value, InputError):
                raise value
            host = options.applied(host_of_row(value, where))
        except InputError as error:
            yield Item(row_id, where, error=error, is_row=True)
        else:
            title = f"Linux {host.release.version} · PV {host.dom} · {host.nr_pages:,} pages   from {where}"
            yield Item(row_id, where, host, title, is_row=True)


def _values(text: str, name: str) -> Iterator[tuple[str, Any]]:
    """Every JSON value of a text with its place: one document, the items of a list, or one a line."""
    whole = _parse(text, name)
    lines = text.split("\n") if isinstance(whole, InputError) else []
    if any(_is_object(line) for line in lines):
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield f"{name}:{number}", _parse(line, f"{name}:{number}")
    elif isinstance(whole, list):
        for index, value in enumerate(whole):
            yield f"{name}, item {index}", value
    else:
        yield name, whole


def _is_object(line: str) -> bool:
    """Whether a line by itself is a JSON object."""
    return line.lstrip().startswith("{") and isinstance(_parse(line, ""), dict)


def _parse(text: str, where: str) -> Any:  # noqa: ANN401 (any JSON value, or the error)
    try:
        return json.loads(text)
    except RecursionError:
        return InputError(where, "JSON of a sane depth", "values nested too deep")
    except ValueError as error:
        reason = str(error)
        return InputError(where, "JSON", f"{shorten(text.strip())} ({reason[:80]})")
