"""What happened in a fault run, put together from the logs of all processes. Pure.

Instants are readings of CLOCK_MONOTONIC. What is not known for sure is taken in the library's
favour where that only hides milliseconds: a key exists until the first news of its deletion.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from .log import Line
from .spans import Spans, union

SERVES_GAP = 0.4
"""Seconds between two answers of a member that are taken for one time of serving."""

CUT_MODES = ("deaf", "deaf to client", "deaf to server", "refuse")


def margin(ttl: float) -> float:
    """What the library takes off a ttl: its promise, stated here once more on purpose."""
    return max(0.2, ttl / 10)


@dataclass(frozen=True)
class Life:
    """One candidate key, from the put to the deletion."""

    key: str
    token: int
    owner: str
    lease: int
    born_at: float
    gone_at: float = float("inf")


@dataclass(frozen=True)
class Belief:
    """One process believed, at least from `start` to `end`."""

    owner: str
    token: int
    start: float
    end: float

    @property
    def spans(self) -> Spans:
        """The time of it."""
        return Spans([(self.start, self.end)])


@dataclass(frozen=True)
class Removal:
    """The administrator told etcd to remove a key.

    Attributes:
        token: The key's create revision.
        sent_at: When that was sent; from then on it may be carried out.
        done_by: When it surely had been carried out; infinite if nobody answered.
    """

    token: int
    sent_at: float
    done_by: float = float("inf")


@dataclass
class Process:
    """One candidate process.

    Attributes:
        number: Its place: others may have had it before, or have it later.
        running: When it could do anything; `stopped` and `gil` are apart from it.
    """

    name: str
    number: int
    front: str = ""
    via: str = ""
    running: Spans = field(default_factory=Spans)
    stopped: Spans = field(default_factory=Spans)
    gil: Spans = field(default_factory=Spans)
    campaigning: Spans = field(default_factory=Spans)
    renewals: list[float] = field(default_factory=list)
    errors: list[Line] = field(default_factory=list)
    expired: list[float] = field(default_factory=list)
    observed: list[tuple[float, int]] = field(default_factory=list)
    usage: list[Line] = field(default_factory=list)
    killed_at: float | None = None
    status: int | None = None
    bad: list[str] = field(default_factory=list)


@dataclass
class History:
    """All of a run.

    Attributes:
        window: From the first to the last moment that is judged.
        beliefs: In the order of their starts.
        lives: In the order of the tokens.
        heads: When which life was first in the queue.
        serves: Per member, when it answered linearizable reads.
        quorum: When any member did.
        links: Per (number, member), when the link passed.
        disturbed: Per number, when any link was anything but plain.
        terms: When a new raft term was first seen, but for the first.
        removals: Of keys, by the administrator.
        woken: When members were woken that had led in raft when they were stopped.
        faults: What the nemesis did.
        left: What was left at the end.
    """

    ttl: float
    version: tuple[int, ...]
    window: tuple[float, float]
    processes: dict[str, Process]
    beliefs: list[Belief]
    lives: list[Life]
    heads: list[tuple[float, float, Life]]
    serves: dict[int, Spans]
    links: dict[tuple[int, int], Spans]
    disturbed: dict[int, Spans]
    terms: list[float]
    removals: list[Removal]
    woken: list[float]
    faults: list[Line]
    left: list[str]

    @property
    def quorum(self) -> Spans:
        """When any member answered linearizable reads."""
        return union(self.serves.values())

    def life(self, token: int) -> Life | None:
        """The key with this create revision."""
        return next((life for life in self.lives if life.token == token), None)

    def reaches(self, number: int) -> Spans:
        """When a process in this place could reach a quorum."""
        return union(self.links[number, member] & spans for member, spans in self.serves.items())

    def able(self, name: str) -> Spans:
        """When this process ran and could reach a quorum."""
        process = self.processes.get(name)
        return process.running & self.reaches(process.number) if process else Spans()


def gather(
    truth: Iterable[Line], nemesis: Iterable[Line], workers: Iterable[tuple[str, Iterable[Line]]]
) -> History:
    """Merges the logs.

    Args:
        truth: The observer's.
        nemesis: That of those who did things, which also begins with a line "run".
        workers: (name, log) of every process.
    """
    nemesis = sorted(nemesis, key=lambda line: float(line["t"]))
    run = next(line for line in nemesis if line["what"] == "run")
    judged = next((line["t"] for line in nemesis if line["what"] == "judged"), nemesis[-1]["t"])
    end = float(nemesis[-1]["t"]) + 1.0
    processes = _processes(nemesis, end)
    beliefs: list[Belief] = []
    for name, lines in workers:
        if name in processes:
            beliefs += _told(processes[name], list(lines), run["ttl"], end)
    beliefs.sort(key=lambda belief: belief.start)
    truth = list(truth)
    lives, heads = _queue(truth, end)
    start = beliefs[0].start if beliefs else float(run["t"])
    numbers = {process.number for process in processes.values()}
    links, disturbed = _links(nemesis, numbers, run["members"], float(run["t"]), end)
    return History(
        ttl=float(run["ttl"]),
        version=tuple(run["version"]),
        window=(start, max(start, float(judged))),
        processes=processes,
        beliefs=beliefs,
        lives=lives,
        heads=heads,
        serves=_serves(truth, run["members"]),
        links=links,
        disturbed=disturbed,
        terms=_terms(truth),
        removals=[
            Removal(line["token"], line["t"], line["answered"] or float("inf"))
            for line in nemesis
            if line["what"] == "removed"
        ],
        woken=_woken(nemesis),
        faults=[line for line in nemesis if line["what"] == "fault"],
        left=[text for line in nemesis if line["what"] == "left" for text in line["things"]],
    )


def _processes(nemesis: list[Line], end: float) -> dict[str, Process]:
    processes: dict[str, Process] = {}
    since: dict[str, float] = {}
    spans: dict[str, list[tuple[float, float]]] = defaultdict(list)
    halts: dict[str, list[float]] = defaultdict(list)
    for line in nemesis:
        if line["what"] != "process":
            continue
        name, at = line["name"], float(line["t"])
        process = processes.setdefault(name, Process(name, line["number"]))
        if line["state"] != "ended":
            halts[name].append(at)
        if line["state"] == "running":
            since.setdefault(name, at)
            continue
        if name in since:
            spans[name].append((since.pop(name), at))
        if line["state"] == "killed":
            process.killed_at = at
        elif line["state"] == "ended":
            process.status = line["status"]
    for name, process in processes.items():
        open_ = [(since[name], end)] if name in since else []
        process.running = Spans([*spans[name], *open_])
        process.stopped = Spans(itertools.pairwise(halts[name])) - process.running
    return processes


def _woken(nemesis: list[Line]) -> list[float]:
    led: set[int] = set()
    woken: list[float] = []
    for line in nemesis:
        if line["what"] != "member":
            continue
        if line["state"] == "paused" and line["leader"]:
            led.add(line["member"])
        elif line["state"] == "resumed" and line["member"] in led:
            led.remove(line["member"])
            woken.append(float(line["t"]))
    return woken


def _told(process: Process, lines: list[Line], ttl: float, end: float) -> list[Belief]:
    """What a process wrote about itself."""
    believed: dict[int, tuple[float, float]] = {}
    for line in lines:
        what = line["what"]
        if what == "belief":
            start, last = believed.get(line["token"], (line["first"], line["last"]))
            believed[line["token"]] = (min(start, line["first"]), max(last, line["last"]))
            if "deadline" in line:
                process.renewals.append(line["deadline"] - ttl + margin(ttl))
        elif what == "start":
            process.front, process.via = line["front"], line["via"]
        elif what == "error":
            process.errors.append(line)
            if line["kind"] == "SessionExpired":
                process.expired.append(float(line["t"]))
        elif what == "lost" and line["reason"] == "SESSION_EXPIRED":
            process.expired.append(float(line["t"]))
        elif what == "usage":
            process.usage.append(line)
        elif what == "observed":
            process.observed.append((float(line["t"]), line["token"]))
        elif (what == "forked" and line["believes"]) or what == "fork hangs":
            process.bad.append(what)
    gil = [(float(line["t"]), bool(line["on"])) for line in lines if line["what"] == "gil"]
    process.gil = _between(gil, end) & process.running
    process.running -= process.gil
    campaigns = [
        (float(line["t"]), line["what"] == "campaign")
        for line in lines
        # An error ends none: the next one begins at once, and is in vain for as long.
        if line["what"] in ("campaign", "term", "end")
    ]
    process.campaigning = _between(campaigns, end) & process.running
    return [Belief(process.name, token, *span) for token, span in believed.items()]


def _between(switches: list[tuple[float, bool]], end: float) -> Spans:
    """The time for which something was on, at most until `end`."""
    spans = []
    since: float | None = None
    for at, on in [*switches, (end, False)]:
        if on:
            since = at if since is None else since
        elif since is not None:
            spans.append((since, at))
            since = None
    return Spans(spans)


def _queue(truth: list[Line], end: float) -> tuple[list[Life], list[tuple[float, float, Life]]]:
    """The keys' lives, and who was first when."""
    events = sorted(
        (line for line in truth if line["what"] in ("put", "delete")),
        key=lambda line: int(line["revision"]),
    )
    # A revision cannot be older than the one after it: news may overtake each other.
    times = [float(line["t"]) for line in events]
    for i in reversed(range(len(times) - 1)):
        times[i] = min(times[i], times[i + 1])
    lives: dict[int, Life] = {}
    standing: dict[str, int] = {}
    heads: list[tuple[float, float, Life]] = []
    head: int | None = None
    since = 0.0

    def changed(at: float) -> None:
        nonlocal head, since
        first = min(standing.values(), default=None)
        if first != head:
            if head is not None:
                heads.append((since, at, lives[head]))
            head, since = first, at

    for at, line in zip(times, events, strict=True):
        key = line["key"]
        if line["what"] == "put":
            token = line["token"]
            if token not in lives:
                lives[token] = Life(key, token, line["owner"], line["lease"], at)
            standing[key] = token
        else:
            gone = standing.pop(key, None)
            if gone is not None:
                life = lives[gone]
                lives[gone] = Life(
                    life.key, life.token, life.owner, life.lease, life.born_at, gone_at=at
                )
        changed(at)
    if head is not None:
        heads.append((since, end, lives[head]))
    ordered = [lives[token] for token in sorted(lives)]
    return ordered, [(start, until, lives[life.token]) for start, until, life in heads]


def _serves(truth: list[Line], members: int) -> dict[int, Spans]:
    answers: dict[int, list[float]] = {member: [] for member in range(members)}
    for line in truth:
        if line["what"] == "serves":
            answers[line["member"]].append(float(line["t"]))
    return {
        member: Spans(
            (before, after)
            for before, after in itertools.pairwise(times)
            if after - before <= SERVES_GAP
        )
        for member, times in answers.items()
    }


def _links(
    nemesis: list[Line], numbers: set[int], members: int, start: float, end: float
) -> tuple[dict[tuple[int, int], Spans], dict[int, Spans]]:
    cut: dict[tuple[int, int], list[tuple[float, float]]] = defaultdict(list)
    odd: dict[int, list[tuple[float, float]]] = defaultdict(list)
    state: dict[tuple[int, int], tuple[str, float]] = {}
    for line in nemesis:
        if line["what"] != "link":
            continue
        link, at = (line["number"], line["member"]), float(line["t"])
        mode, since = state.get(link, ("pass", start))
        if mode in CUT_MODES:
            cut[link].append((since, at))
        if mode != "pass":
            odd[link[0]].append((since, at))
        if line["mode"] == "reset":
            odd[link[0]].append((at, at + 0.1))
        else:
            state[link] = (line["mode"], at)
    for link, (mode, since) in state.items():
        if mode in CUT_MODES:
            cut[link].append((since, end))
        if mode != "pass":
            odd[link[0]].append((since, end))
    whole = Spans([(start, end)])
    links = {
        (number, member): whole - Spans(cut[number, member])
        for number in numbers
        for member in range(members)
    }
    return links, {number: Spans(odd[number]) for number in numbers}


def _terms(truth: list[Line]) -> list[float]:
    found: list[float] = []
    highest = 0
    for line in truth:
        if line["what"] == "serves" and line["term"] > highest:
            if highest:
                found.append(float(line["t"]))
            highest = line["term"]
    return found
