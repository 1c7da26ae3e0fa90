"""Made-up logs of a fault run, to try the checker on."""

from __future__ import annotations

from collections import defaultdict

from tests.faults.checker import judge
from tests.faults.history import History, gather
from tests.faults.log import Line
from tests.faults.rows import Row
from tests.faults.spans import Spans

END = 60.0


class Story:
    """Logs as the processes of a run would have written them; ttl 3 s, one member.

    `w0.1` leads from 1 to 20 and resigns, then `w1.1` leads to the end.
    """

    def __init__(self) -> None:
        self.truth: list[Line] = []
        self.nemesis: list[Line] = [
            {"t": 0.0, "what": "run", "ttl": 3, "members": 1, "version": [3, 6, 0]}
        ]
        self.workers: dict[str, list[Line]] = defaultdict(list)
        self.quorum = Spans([(0.0, END)])
        self.term = [(0.0, 2)]
        for number in (0, 1):
            name = f"w{number}.1"
            self.process(0.1, name, "running")
            self.worker(0.2, name, "start", front="blocking", via="kv")
            self.worker(0.2, name, "campaign")
        self.put(1.0, 10, "w0.1")
        self.put(1.1, 11, "w1.1")

    @classmethod
    def good(cls) -> Story:
        story = cls()
        story.believe("w0.1", 10, 1.0, 20.0)
        story.delete(20.0, 12, "w0.1")
        story.believe("w1.1", 11, 20.01, 59.0)
        story.delete(59.0, 13, "w1.1")
        return story

    @classmethod
    def handed_over(cls) -> Story:
        """As a good one, but w1.1 leads on when all is over: who joins later stands behind it."""
        story = cls()
        story.believe("w0.1", 10, 1.0, 20.0)
        story.delete(20.0, 12, "w0.1")
        story.believe("w1.1", 11, 20.01, 59.0)
        return story

    def observe_all(self) -> None:
        """Whoever leads is known to all at once."""
        for name in ("w0.1", "w1.1"):
            for line in self.truth:
                if line["what"] == "put" and line["token"] == 10:
                    self.observed(line["t"], name, 10)
                elif line["what"] == "delete" and line["key"] == "e/w0.1":
                    self.observed(line["t"], name, 11)

    def process(self, t: float, name: str, state: str, **facts: object) -> None:
        self.nemesis.append(
            {"t": t, "what": "process", "name": name, "number": int(name[1]), "state": state}
            | facts
        )

    def link(self, t: float, number: int, mode: str) -> None:
        self.nemesis.append({"t": t, "what": "link", "number": number, "member": 0, "mode": mode})

    def removed(self, t: float, token: int, *, answered: float | None = None) -> None:
        self.nemesis.append({"t": t, "what": "removed", "token": token, "answered": answered})

    def worker(self, t: float, name: str, what: str, **facts: object) -> None:
        self.workers[name].append({"t": t, "what": what} | facts)

    def believe(
        self, name: str, token: int, first: float, last: float, *, renewed: float | None = None
    ) -> None:
        self.worker(first, name, "term", token=token, lease=token)
        more = {} if renewed is None else {"deadline": renewed + 3 - 0.3}
        self.worker(last, name, "belief", token=token, first=first, last=last, **more)

    def put(self, t: float, token: int, owner: str) -> None:
        self.truth.append(
            {"t": t, "what": "put", "revision": token, "token": token, "owner": owner}
            | {"key": f"e/{owner}", "lease": token}
        )

    def observed(self, t: float, name: str, token: int) -> None:
        self.worker(t, name, "observed", token=token)

    def delete(self, t: float, revision: int, owner: str) -> None:
        self.truth.append({"t": t, "what": "delete", "revision": revision, "key": f"e/{owner}"})

    def leave(self, name: str) -> None:
        """Nothing of it is left when it has ended in good order."""
        puts = sum(line["what"] == "put" and line["owner"] == name for line in self.truth)
        gone = sum(line["key"] == f"e/{name}" for line in self.truth) - puts
        if gone < puts:
            self.delete(END, 90 + int(name[1]), name)

    def history(self) -> History:
        if not any(line["what"] == "observed" for lines in self.workers.values() for line in lines):
            self.observe_all()
        for name in self.workers:
            if not any(
                line["what"] == "process"
                and line["name"] == name
                and line["state"] in ("killed", "ended")
                for line in self.nemesis
            ):
                self.process(END, name, "ended", status=0)
                self.leave(name)
        serves = [
            {"t": i / 10, "what": "serves", "member": 0, "revision": 1, "first": 0}
            | {"term": [term for since, term in self.term if since <= i / 10][-1]}
            for i in range(int(END * 10))
            if i / 10 in self.quorum
        ]
        self.nemesis.append({"t": 59.0, "what": "judged"})
        self.nemesis.append({"t": END, "what": "left", "things": []})
        return gather([*self.truth, *serves], self.nemesis, self.workers.items())

    def rows(self) -> dict[str, Row]:
        return {row.promise.strip(): row for row in judge(self.history())}

    def red(self) -> list[str]:
        return [promise for promise, row in self.rows().items() if not row.holds]


def removed_at_20(believes_until: float) -> Story:
    story = Story()
    story.believe("w0.1", 10, 1.0, believes_until)
    story.removed(19.99, 10, answered=20.0)
    story.delete(20.0, 12, "w0.1")
    story.believe("w1.1", 11, 20.01, 59.0)
    return story
