"""Draws a history: who believed when, who really held the key, and what was done to whom. Pure.

Time runs down, so that it can be read on a telephone. The picture has a ground of its own, light or
dark as its reader has it, and needs nothing but what is in it. Every bar tells what it is by a
title, every fault has a number and a line of text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from xml.sax.saxutils import escape

from .history import History, Life
from .spans import Spans, union

SECOND = 30.0
"""Height of a second. All measures are in the picture's own units, 420 of which are its width."""
WIDTH = 420
TOP = 166
LEGEND = 64
AXIS = 30
KEY = 34
PLACE = 70
"""Width of a process's column, after the axis and that of the key."""
BAR = 22
LANE = 12
"""From one member's lane to the next."""
LINE = 17

CLUSTER = -1
"""Where faults of etcd stand, in the place of a process's number."""

SAYS = {
    "COMPACT": "compaction",
    "PAUSE_MEMBER": "a member stopped for {:.1f} s",
    "KILL_MEMBER": "a member killed for {:.1f} s",
    "PAUSE_RAFT_LEADER": "the raft leader stopped for {:.1f} s",
    "KILL_RAFT_LEADER": "the raft leader killed for {:.1f} s",
    "QUORUM_PAUSED": "a majority of members stopped for {:.1f} s",
    "QUORUM_KILLED": "a majority of members killed for {:.1f} s",
}

STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1b1f24 }
.ground { fill: #ffffff }
.title { font-size: 15px; font-weight: 600 }
.small { font-size: 11px; fill: #57606a }
.grid { stroke: #d8dee4; stroke-width: 1 }
.p0 { fill: #0072b2; stroke: #0072b2 }
.p1 { fill: #d98200; stroke: #d98200 }
.p2 { fill: #00916a; stroke: #00916a }
.p3 { fill: #b0508f; stroke: #b0508f }
.first { fill-opacity: .13; stroke-opacity: .8 }
.believes { stroke: none }
.key { stroke: none; fill-opacity: .75 }
.token { font-size: 11px; font-weight: 600; fill: #ffffff; text-anchor: middle }
.down { fill: #8c959f; fill-opacity: .55 }
.still { fill: url(#still) }
.cut { fill: url(#cut) }
.link { stroke: #cf222e; stroke-width: 2; stroke-dasharray: 2 3 }
.serves { fill: #57606a }
.quorum { fill: #cf222e; fill-opacity: .12 }
.mark { fill: #1b1f24 }
.number { font-size: 10px; font-weight: 600; fill: #ffffff; text-anchor: middle }
.dots { stroke: #57606a; stroke-width: 2 }
.strokes { stroke: #cf222e; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.ground { fill: #0d1117 }
.small { fill: #9da7b1 }
.grid { stroke: #30363d }
.p0 { fill: #58b6f0; stroke: #58b6f0 }
.p1 { fill: #f0a63a; stroke: #f0a63a }
.p2 { fill: #2fc79b; stroke: #2fc79b }
.p3 { fill: #e08cc0; stroke: #e08cc0 }
.token { fill: #0d1117 }
.serves { fill: #9da7b1 }
.quorum { fill-opacity: .25 }
.mark { fill: #e6edf3 }
.number { fill: #0d1117 }
.dots { stroke: #9da7b1 }
.strokes { stroke: #ff7b72 }
.link { stroke: #ff7b72 }
}
"""

PATTERNS = (
    '<defs><pattern id="still" width="6" height="6" patternUnits="userSpaceOnUse">'
    '<path class="dots" d="M0 3h6"/></pattern>'
    '<pattern id="cut" width="7" height="7" patternUnits="userSpaceOnUse">'
    '<path class="strokes" d="M-2 2l4-4M0 7l7-7M5 9l4-4"/></pattern></defs>'
)


@dataclass(frozen=True)
class Mark:
    """A fault: when, to which place (or CLUSTER), and what."""

    at: float
    number: int
    text: str


def marks(history: History) -> list[Mark]:
    """All faults of the time that is judged, in their order."""
    found: list[Mark] = []
    for process in history.processes.values():
        number, name = process.number, process.name
        if process.killed_at is not None:
            found.append(Mark(process.killed_at, number, f"{name} killed (kill -9)"))
        for spans, what in ((process.stopped, "stopped"), (process.gil, "holds its GIL")):
            found += [Mark(s, number, f"{name} {what} for {e - s:.1f} s") for s, e in spans]
    for number in sorted(history.disturbed):
        for start, end in history.disturbed[number]:
            whole = cut_off(history, number) & Spans([(start, end)])
            what = "is cut off" if whole else "has a link disturbed"
            found.append(Mark(start, number, f"w{number} {what} for {end - start:.1f} s"))
    for fault in history.faults:
        at, kind = float(fault["t"]), fault["kind"]
        life = _standing(history, at, fault["place"])
        if not fault["done"]:
            continue
        if kind in SAYS:
            found.append(Mark(at, CLUSTER, SAYS[kind].format(fault["lasts"])))
        elif kind == "FORK" and life is not None:
            found.append(Mark(at, _number(history, life), f"{life.owner} forks"))
    for removal in history.removals:
        gone = history.life(removal.token)
        if gone is not None:
            revoked = _removal(history, removal.sent_at) == "REVOKE"
            text = f"the {'lease' if revoked else 'key'} of {gone.owner} is "
            text += "revoked" if revoked else "deleted"
            found.append(Mark(removal.sent_at, _number(history, gone), text))
    start, end = history.window
    return sorted((m for m in found if start <= m.at < end), key=lambda mark: mark.at)


def cut_off(history: History, number: int) -> Spans:
    """When no link of a place passed."""
    passes = union(links for (of, _), links in history.links.items() if of == number)
    return Spans([history.window]) - passes


def _standing(history: History, at: float, place: int) -> Life | None:
    """Whose key stood in this place, as the nemesis counts."""
    queue = [life for life in history.lives if life.born_at <= at < life.gone_at]
    return queue[min(place, len(queue) - 1)] if queue else None


def _number(history: History, life: Life) -> int:
    process = history.processes.get(life.owner)
    return process.number if process else CLUSTER


def _removal(history: History, sent_at: float) -> str:
    """What kind of fault it was: it is written down right after it."""
    return next(
        (
            str(fault["kind"])
            for fault in history.faults
            if fault["t"] >= sent_at and fault["kind"] in ("REVOKE", "DELETE", "CUT_DELETE")
        ),
        "",
    )


class Sheet:
    """A drawing that grows; knows where an instant and a place are."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.start, self.end = history.window
        self.parts: list[str] = []
        self.bottom = TOP + (self.end - self.start) * SECOND

    def y(self, at: float) -> float:
        """Where an instant is."""
        return TOP + (min(max(at, self.start), self.end) - self.start) * SECOND

    def x(self, number: int) -> float:
        """Where a place's column begins; the members' is the last."""
        places = len({process.number for process in self.history.processes.values()})
        return AXIS + KEY + PLACE * (places if number == CLUSTER else number)

    def since(self, at: float) -> str:
        """An instant in seconds, for people."""
        return f"{at - self.start:.2f} s"

    def text(self, x: float, y: float, text: str, kind: str = "") -> None:
        class_ = f' class="{kind}"' if kind else ""
        self.parts.append(f'<text{class_} x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>')

    def bar(self, x: float, width: float, span: tuple[float, float], kind: str, says: str) -> None:
        """A span of time. What is shorter than a hair is drawn as one."""
        start, end = self.y(span[0]), self.y(span[1])
        if span[1] <= self.start or span[0] >= self.end:
            return
        self.parts.append(
            f'<rect class="{kind}" x="{x:.1f}" y="{start:.1f}" width="{width:.1f}" '
            f'height="{max(0.8, end - start):.1f}"><title>{escape(says)}: {self.since(span[0])} to '
            f"{self.since(span[1])}</title></rect>"
        )

    def svg(self, title: str, caption: str, height: float) -> str:
        """The whole."""
        describes = (
            f"{caption}. Time runs down. A filled bar is a process that believes it leads, an "
            "outline the time for which its key was the first in etcd."
        )
        return "\n".join(
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" '
                f'role="img" aria-labelledby="title about">',
                f'<title id="title">{escape(title)}</title>',
                f'<desc id="about">{escape(describes)}</desc>',
                f"<style>{STYLE}</style>",
                PATTERNS,
                f'<rect class="ground" width="{WIDTH}" height="{height:.0f}"/>',
                *self.parts,
                "</svg>\n",
            )
        )


def picture(history: History, caption: str) -> str:
    """The history as an SVG.

    Args:
        history: What is to be drawn, for the time that is judged.
        caption: What was run on what; its lines stand below the title.
    """
    sheet = Sheet(history)
    title = "A fault run: who believed, and who held the key"
    _head(sheet, title, caption)
    _grid(sheet)
    _cluster(sheet)
    _places(sheet)
    numbered = list(enumerate(marks(history), 1))
    _numbers(sheet, numbered)
    y = sheet.bottom + 2 * LINE
    for i, mark in numbered:
        sheet.text(6, y, f"{i}", "small")
        sheet.text(AXIS, y, f"{mark.at - sheet.start:.1f} s", "small")
        sheet.text(AXIS + 42, y, mark.text)
        y += LINE
    return sheet.svg(title, caption, y)


def _head(sheet: Sheet, title: str, caption: str) -> None:
    sheet.text(6, 20, title, "title")
    for i, line in enumerate(caption.splitlines()):
        sheet.text(6, 37 + 14 * i, line, "small")
    legend = (
        ("p0 believes", "believes that it leads"),
        ("p0 first", "its key is the first in etcd"),
        ("down", "no process (killed, or ended)"),
        ("still", "stopped, or GIL held"),
        ("cut", "cut off from all members"),
        ("quorum", "etcd without a quorum"),
    )
    for i, (kind, text) in enumerate(legend):
        x, y = 6 + i % 2 * 200, LEGEND + i // 2 * LINE
        sheet.parts.append(f'<rect class="{kind}" x="{x}" y="{y}" width="20" height="11"/>')
        sheet.text(x + 26, y + 10, text, "small")
    sheet.parts.append(f'<path class="link" d="M206 {LEGEND + 3 * LINE + 6}h20"/>')
    sheet.text(232, LEGEND + 3 * LINE + 10, "a link disturbed", "small")
    sheet.text(6, LEGEND + 3 * LINE + 10, "numbers: faults, told below", "small")
    fronts = {process.number: process.front for process in sheet.history.processes.values()}
    sheet.text(AXIS, TOP - 22, "key")
    sheet.text(AXIS, TOP - 8, "token", "small")
    for number, front in sorted(fronts.items()):
        sheet.text(sheet.x(number) + 6, TOP - 22, f"w{number}")
        sheet.text(sheet.x(number) + 6, TOP - 8, front, "small")
    sheet.text(sheet.x(CLUSTER) + 2, TOP - 22, "members")
    sheet.text(sheet.x(CLUSTER) + 2, TOP - 8, "serving", "small")


def _grid(sheet: Sheet) -> None:
    for second in range(int(sheet.end - sheet.start) + 1):
        y = sheet.y(sheet.start + second)
        sheet.parts.append(f'<path class="grid" d="M{AXIS - 4} {y:.1f}H{WIDTH - 6}"/>')
        sheet.text(4, y + 4, f"{second} s", "small")


def _cluster(sheet: Sheet) -> None:
    history = sheet.history
    for span in Spans([history.window]) - history.quorum:
        sheet.bar(AXIS, WIDTH - AXIS - 6, span, "quorum", "no quorum")
    for member, serves in sorted(history.serves.items()):
        for span in serves:
            x = sheet.x(CLUSTER) + 2 + LANE * member
            sheet.bar(x, 7, span, "serves", f"member {member} serves")
    for start, end, life in history.heads:
        number = _number(history, life)
        says = f"the key of {life.owner} is the first, token {life.token}"
        sheet.bar(AXIS, BAR, (start, end), f"p{number} key", says)
        if sheet.y(end) - sheet.y(start) > LINE:
            sheet.text(AXIS + BAR / 2, sheet.y(start) + 13, f"{life.token}", "token")


def _places(sheet: Sheet) -> None:
    history = sheet.history
    window = Spans([history.window])
    for number in sorted({process.number for process in history.processes.values()}):
        x = sheet.x(number) + 6
        own = [process for process in history.processes.values() if process.number == number]
        there = union(p.running | p.stopped | p.gil for p in own)
        for span in window - there:
            sheet.bar(x - 2, BAR + 4, span, "down", f"no process w{number}")
        for start, end, life in history.heads:
            if _number(history, life) == number:
                sheet.bar(x, BAR, (start, end), f"p{number} first", f"{life.owner} is the first")
        for belief in history.beliefs:
            if history.processes[belief.owner].number == number:
                says = f"{belief.owner} believes, token {belief.token}"
                span = belief.start, belief.end
                sheet.bar(x + 5, BAR - 10, span, f"p{number} believes", says)
        for span in union(p.stopped | p.gil for p in own):
            sheet.bar(x - 2, BAR + 4, span, "still", f"w{number} stands still")
        for span in cut_off(history, number) & there:
            sheet.bar(x - 2, BAR + 4, span, "cut", f"w{number} is cut off")
        for start, end in history.disturbed[number] & window:
            line = f"M{x + BAR + 6:.1f} {sheet.y(start):.1f}V{sheet.y(end):.1f}"
            sheet.parts.append(f'<path class="link" d="{line}"/>')


def _numbers(sheet: Sheet, numbered: list[tuple[int, Mark]]) -> None:
    for (_, mark), (i, y, shift) in zip(numbered, _apart(sheet, numbered), strict=True):
        beside = 3 * LANE + 16 if mark.number == CLUSTER else BAR + 21
        x = sheet.x(mark.number) + beside + shift
        sheet.parts.append(
            f"<g><title>{escape(mark.text)}</title>"
            f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="7.5"/>'
            f'<text class="number" x="{x:.1f}" y="{y + 3.5:.1f}">{i}</text></g>'
        )


def _apart(sheet: Sheet, numbered: list[tuple[int, Mark]]) -> Iterator[tuple[int, float, float]]:
    """(number, y, shift to the right), so that no two numbers of a column cover each other."""
    lowest: dict[tuple[int, int], float] = {}
    for i, mark in numbered:
        wanted = sheet.y(mark.at)
        y, side = min((max(wanted, lowest.get((mark.number, side), 0.0)), side) for side in (0, 1))
        lowest[mark.number, side] = y + 15.5
        yield i, y, side * 15.5
