"""A picture as part of a page: SVG without inline styles, in colours that follow the page's."""

from __future__ import annotations

import re
from xml.etree import ElementTree

__all__ = ["inline_svg"]

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "{http://www.w3.org/1999/xlink}href"
_INK = {"#000000": "currentColor", "#555555": "currentColor", "black": "currentColor", "#ffffff": "none"}
_FONT = re.compile(r"(?:(bold|\d{3}) )?([\d.]+)px (.+)")


def inline_svg(data: bytes, prefix: str, label: str) -> str:
    """The SVG that matplotlib wrote, ready to stand inside a page whose policy forbids inline styles.

    Style declarations become attributes, names get a prefix of their own, black becomes the page's
    ink, and the ground is left out.

    Args:
        data: the file.
        prefix: of every ``id`` in it.
        label: what a screen reader says.
    """
    root = ElementTree.fromstring(data)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.rpartition("}")[2] in ("metadata", "style") or child.get("id") == "patch_1":
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        _plain(element, prefix)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.attrib |= {"role": "img", "aria-label": label, "stroke-linejoin": "round", "fill": "currentColor"}
    return ElementTree.tostring(root, encoding="unicode", short_empty_elements=True)


def _plain(element: ElementTree.Element, prefix: str) -> None:
    for declaration in element.attrib.pop("style", "").split(";"):
        name, _, value = (part.strip() for part in declaration.partition(":"))
        font = _FONT.fullmatch(value) if name == "font" else None
        if font is not None:
            element.attrib |= {"font-size": font[2], "font-weight": font[1] or "normal"}
        elif name:
            element.set(name, value)
    target = element.attrib.pop(_XLINK, None)
    if target is not None:
        element.set("href", target)
    for name, value in element.attrib.items():
        if name == "id":
            element.set(name, prefix + value)
        elif name == "href" and value.startswith("#"):
            element.set(name, "#" + prefix + value[1:])
        elif "url(#" in value:
            element.set(name, value.replace("url(#", f"url(#{prefix}"))
        elif name in ("fill", "stroke"):
            element.set(name, _INK.get(value, value))
