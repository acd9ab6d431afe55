"""The site and the man page: ``make site``, ``make man``."""

import os
import re
from pathlib import Path

from sphinx.application import Sphinx

import xenp2m

DOCS = Path(__file__).parent
TOP = DOCS.parent

project = "xenp2m"
author = "the xenp2m authors"
version = release = xenp2m.__version__
project_copyright = "MIT licence"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["package.md"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
highlight_language = "none"
default_role = "code"
smartquotes = False  # -- is what is typed

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "alabaster"
html_title = "xenp2m"
html_theme_options = {
    "description": "The memory of a Xen PV host, worked out exactly",
    "page_width": "72rem",
    "sidebar_width": "15rem",
    "fixed_sidebar": True,
    "font_family": "system-ui, sans-serif",
    "show_powered_by": False,
}
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_show_copyright = False
html_static_path = ["site.css"]
html_css_files = ["site.css"]

man_pages = [("commands", "xenp2m", "the memory of a Xen PV host, worked out exactly", author, 1)]

_LINK = re.compile(r"\[([^\]]+)\]\(((?!https?:)[^)#]+)(#[^)]*)?\)")
_INCLUDED = re.compile(r"```\{include\} \.\./(.+)\n```")


def _alone(text: str, folder: Path) -> str:
    """Keep of a link that leads out of the documents its text: the site stands alone."""

    def kept(link: re.Match[str]) -> str:
        target = Path(os.path.normpath(folder / link[2]))
        return link[0] if target.is_relative_to(DOCS) and target.is_file() else link[1]

    return _LINK.sub(kept, text)


def _read(app: Sphinx, docname: str, source: list[str]) -> None:
    """Prepare a page; the documents at the top of the tree are pages, too."""
    text = _alone(source[0], (DOCS / docname).parent)
    source[0] = _INCLUDED.sub(lambda found: _alone((TOP / found[1]).read_text(), TOP), text)


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", _read)
