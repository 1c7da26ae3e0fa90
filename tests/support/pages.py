"""The README and the pages in docs/, and their code blocks.

A block is what a reader copies. A comment above it in the text, invisible when rendered, may say
`<!-- not run: REASON -->`; a paragraph that ends with a file's name in backticks and a colon says
that it is that file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One code block.

    Attributes:
        language: As the fence says.
        code: What is in it.
        line: Where it begins in its page.
        file: The file that it is, or "".
        not_run: Why it cannot be run, or "".
    """

    language: str
    code: str
    line: int
    file: str
    not_run: str


@dataclass(frozen=True)
class Page:
    """A page: its path and text."""

    path: Path

    @property
    def name(self) -> str:
        """As it is called in reports."""
        return self.path.relative_to(ROOT).as_posix()

    @property
    def text(self) -> str:
        """All of it."""
        return self.path.read_text()

    @property
    def prose(self) -> str:
        """The text without the blocks."""
        return FENCED.sub("", self.text)

    @property
    def blocks(self) -> list[Block]:
        """Its code blocks, in order."""
        return [_block(self.text, found) for found in BLOCK.finditer(self.text)]

    @property
    def links(self) -> list[str]:
        """Where it leads to, but for other sites."""
        links = re.findall(r"\]\(([^)\s]+)\)", self.prose)
        links += re.findall(r"^```\{include\} (\S+)$", self.text, re.MULTILINE)
        return [link for link in links if not re.match(r"https?:", link)]

    @property
    def anchors(self) -> set[str]:
        """Of the headings, as they are linked to."""
        headings = re.findall(r"^#+ (.+)$", self.prose, re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _block(text: str, found: re.Match[str]) -> Block:
    before = text[: found.start()].rstrip("\n")
    last = before[before.rfind("\n") + 1 :]
    reason = re.fullmatch(r"<!-- not run: (.+) -->", last)
    file = re.search(r"`([\w.]+)`:$", last)
    return Block(
        found[1],
        found[2],
        before.count("\n") + 2,
        file[1] if file else "",
        reason[1] if reason else "",
    )


README = Page(ROOT / "README.md")
OTHERS = [Page(ROOT / f"{name}.md") for name in ("CHANGELOG", "CONTRIBUTING", "SECURITY")]
PAGES = [README, *OTHERS, *(Page(path) for path in sorted(DOCS.rglob("*.md")))]
