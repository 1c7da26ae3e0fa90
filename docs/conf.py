"""How Sphinx makes the documentation: ``make docs`` writes it to build/docs, and takes no warning.

The pages are Markdown that also reads well in the repository. So links go to files, as there, and
those that lead out of this folder are turned here into links between pages.
"""

from __future__ import annotations

import re
from typing import Any

import etcd_election

project = "etcd-election"
author = "The etcd-election authors"
copyright = author  # noqa: A001 - Sphinx calls it so
version = release = etcd_election.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
nitpicky = True
# What has no page here: Python's own, gRPC's, protobuf's; type variables, and what is private.
nitpick_ignore_regex = [
    ("py:.*", r"(collections|contextlib|os|grpc|etcd_election\.pb)\..*"),
    ("py:.*", r"(.*\.)?([TSL]|_\w+)"),
]

# -- pages

myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]

PAGES = {
    "README.md": "readme.md",
    "CHANGELOG.md": "changes.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}
"""Files outside of this folder that are pages as well, by an include."""


def link_pages(_app: object, _name: str, source: list[str]) -> None:
    """Has links to those files lead to their pages."""
    for file, page in PAGES.items():
        link = rf"\]\(\.\./{re.escape(file)}(?=[)#])"
        source[0] = re.sub(link, f"]({page}", source[0])


def link_included(_app: object, _path: object, _name: str, source: list[str]) -> None:
    """The same in those files themselves, which lie one folder higher."""
    for file, page in PAGES.items():
        source[0] = re.sub(rf"\]\({re.escape(file)}(?=[)#])", f"]({page}", source[0])
    source[0] = source[0].replace("](docs/", "](").replace("](examples/", "](../examples/")


# -- the reference

FRONT_ENDS = {"Etcd", "ElectionClient", "Leadership", "Observer"}
"""Of which there are two."""
HANDED_OUT = {"Leadership", "Observer", "Rival"}
"""What no user makes."""
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "mixed"
napoleon_use_ivar = True
napoleon_use_rtype = False
python_maximum_signature_line_length = 80
python_use_unqualified_type_names = True
add_module_names = False


def find_public(app: Any, env: Any, node: Any, content: Any) -> Any:
    """Where a user imports it from is where it is documented, wherever it is written."""
    written = re.fullmatch(r"etcd_election\.(\w+)\.(?:\w+\.)?(\w+)", node.get("reftarget", ""))
    if written is None:
        return None
    module = "etcd_election"
    if written[1] == "_aio" and written[2] in FRONT_ENDS:
        module += ".aio"
    elif written[1] == "_testing":
        module += ".testing"
    name = f"{module}.{written[2]}"
    return env.get_domain("py").resolve_xref(
        env, node["refdoc"], app.builder, node["reftype"], name, node, content
    )


def hide_constructor(_app: object, what: str, name: str, *rest: Any) -> tuple[str, None] | None:
    """What a user never makes has no arguments to show."""
    _item, _options, shown, _returned = rest
    hidden = what == "exception" or name.rpartition(".")[2] in HANDED_OUT
    return ("", None) if hidden and shown else None


# -- how it looks

html_theme = "furo"
html_title = f"etcd-election {version}"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_copy_source = False
html_show_sourcelink = False


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-signature", hide_constructor)
    app.connect("missing-reference", find_public)
    app.connect("source-read", link_pages)
    app.connect("include-read", link_included)
