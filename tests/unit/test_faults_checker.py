"""The fault suite's checker, on made-up logs: green for a good run, red for each broken promise."""

from __future__ import annotations

from collections import defaultdict

import pytest

from tests.faults.checker import judge
from tests.faults.history import History, gather
from tests.faults.log import Line
from tests.faults.rows import Row, table
from tests.faults.safety import find_overlaps
from tests.faults.schedule import Kind, schedule
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

    def removed(self, t: float, token: int) -> None:
        self.nemesis.append({"t": t, "what": "removed", "token": token})

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


def test_a_good_run_holds_every_promise() -> None:
    rows = judge(Story.good().history())
    assert all(row.holds for row in rows), table(rows)


def test_two_believing_at_once() -> None:
    story = Story.good()
    story.believe("w0.1", 10, 1.0, 20.5)
    assert "two believing at once" in story.red()
    assert "belief without the key" in story.red()


def test_an_overlap_while_one_was_stopped_is_none() -> None:
    story = Story.good()
    # Asked before and after; what a process would have said in between it did not say.
    story.believe("w0.1", 10, 1.0, 20.5)
    story.process(19.99, "w0.1", "stopped")
    story.process(20.5, "w0.1", "running")
    assert find_overlaps(story.history()) == []


def test_an_overlap_while_one_held_the_gil_is_none() -> None:
    story = Story.good()
    story.worker(19.9, "w0.1", "gil", on=True)
    story.worker(20.6, "w0.1", "gil", on=False)
    story.believe("w0.1", 10, 1.0, 20.5)
    assert find_overlaps(story.history()) == []


def removed_at_20(believes_until: float) -> Story:
    story = Story()
    story.believe("w0.1", 10, 1.0, believes_until)
    story.removed(19.99, 10)
    story.delete(20.0, 12, "w0.1")
    story.believe("w1.1", 11, 20.01, 59.0)
    return story


def test_a_holder_that_is_connected_hears_of_a_removal_in_a_tenth_of_a_second() -> None:
    assert removed_at_20(20.09).red() == []
    assert "belief without the key, removed while connected" in removed_at_20(20.2).red()


def test_a_holder_with_a_cut_link_has_a_beat_and_a_second() -> None:
    for until, red in ((21.9, False), (22.1, True)):
        story = removed_at_20(until)
        story.link(20.0, 0, "stale")
        story.link(24.0, 0, "pass")
        assert ("belief without the key, removed while a link was cut" in story.red()) == red


def test_a_holder_that_is_cut_off_has_the_ttl() -> None:
    for until, red in ((22.9, False), (23.1, True)):
        story = removed_at_20(until)
        story.link(19.0, 0, "deaf")
        story.link(24.0, 0, "pass")
        assert ("belief without the key, removed while cut off" in story.red()) == red
        row = story.rows()["with a cause of their own"]
        assert row.measured.startswith("1,")
        assert row.holds != red


def test_an_overlap_before_the_removal_is_not_excused_by_it() -> None:
    story = removed_at_20(20.05)
    story.believe("w1.1", 11, 19.5, 59.0)
    assert "two believing at once" in story.red()


def test_a_key_removed_before_its_holder_believed_excuses_nothing() -> None:
    """The phantom win: a waiter's key is gone, and its Campaign is answered OK all the same."""
    story = Story()
    story.put(1.2, 12, "w2.1")
    story.process(0.1, "w2.1", "running")
    story.removed(4.99, 11)
    story.delete(5.0, 13, "w1.1")
    story.believe("w0.1", 10, 1.0, 20.0)
    story.delete(20.0, 14, "w0.1")
    story.believe("w1.1", 11, 20.01, 30.0)
    story.believe("w2.1", 12, 20.01, 59.0)
    assert {"two believing at once", "belief without the key"} <= set(story.red())


def woken_at_15(version: list[int]) -> Story:
    story = Story.good()
    story.nemesis[0]["version"] = version
    story.nemesis.append({"t": 15.0, "what": "member", "member": 0, "state": "resumed"})
    story.believe("w0.1", 10, 1.0, 20.5)
    return story


def test_etcd_that_drops_leases_is_counted_apart_where_it_is_known_to() -> None:
    assert woken_at_15([3, 5, 1]).red() == []
    assert "two believing at once" in woken_at_15([3, 5, 13]).red()
    assert "two believing at once" in woken_at_15([3, 4, 31]).red()


def test_belief_in_a_key_that_etcd_never_had() -> None:
    story = Story.good()
    story.believe("w0.1", 99, 21.0, 22.0)
    assert "belief without the key" in story.red()


def test_belief_before_the_key_is_first() -> None:
    story = Story.good()
    story.believe("w1.1", 11, 19.5, 59.0)
    assert "belief without the key" in story.red()


def test_tokens_that_fall() -> None:
    story = Story.good()
    story.believe("w0.1", 5, 59.1, 59.2)
    assert "tokens not rising" in story.red()


def test_a_run_in_which_hardly_anybody_led_proves_nothing() -> None:
    story = Story()
    story.believe("w0.1", 10, 1.0, 59.0)
    assert "tokens not rising" in story.red()


def killed_at_20(gone_at: float, next_from: float, renewed: float = 19.9) -> Story:
    story = Story()
    story.believe("w0.1", 10, 1.0, 20.0, renewed=renewed)
    story.process(20.0, "w0.1", "killed")
    story.delete(gone_at, 12, "w0.1")
    story.believe("w1.1", 11, next_from, 59.0)
    return story


FAIL_OVER = "fail-over after kill -9"


def test_fail_over_counts_from_the_last_renewal() -> None:
    assert FAIL_OVER not in killed_at_20(23.4, 23.5).red()
    late = killed_at_20(23.4, 23.5, renewed=19.5)
    assert FAIL_OVER in late.red()
    assert killed_at_20(23.4, 23.5).rows()[FAIL_OVER].measured == "3.60 s in 1"


def test_fail_over_counts_from_a_renewal_without_an_answer() -> None:
    # Due from 19.9 on, and perhaps sent just before the kill.
    assert FAIL_OVER not in killed_at_20(23.4, 23.5, renewed=19.0).red()
    assert FAIL_OVER in killed_at_20(23.7, 23.8, renewed=19.0).red()


def test_fail_over_counts_from_the_last_change_of_raft_leader() -> None:
    # It gives the lease an election timeout on top.
    for changed_at, red in ((20.5, False), (20.3, True)):
        story = killed_at_20(25.0, 25.1)
        story.term.append((changed_at, 3))
        assert (FAIL_OVER in story.red()) == red


def test_fail_over_counts_from_the_return_of_quorum() -> None:
    story = killed_at_20(26.0, 26.1)
    story.quorum = Spans([(0.0, 20.5), (23.0, END)])
    assert FAIL_OVER not in story.red()
    # The next leader noticed before the observer did.
    story = killed_at_20(26.0, 26.1)
    story.quorum = Spans([(0.0, 20.5), (26.15, END)])
    assert FAIL_OVER not in story.red()


def test_fail_over_does_not_count_a_successor_that_cannot() -> None:
    story = killed_at_20(23.3, 25.0)
    story.process(23.2, "w1.1", "stopped")
    story.process(24.95, "w1.1", "running")
    assert FAIL_OVER not in story.red()


AVOIDABLE, STRETCH = "avoidably without a leader", "at a stretch"


def test_time_without_a_leader_that_could_lead() -> None:
    story = Story()
    story.believe("w0.1", 10, 1.0, 20.0)
    story.delete(20.0, 12, "w0.1")
    story.believe("w1.1", 11, 21.9, 59.0)
    assert story.red() == [AVOIDABLE]
    story = Story()
    story.believe("w0.1", 10, 1.0, 20.0)
    story.delete(20.0, 12, "w0.1")
    story.believe("w1.1", 11, 22.1, 59.0)
    assert story.red() == [AVOIDABLE, STRETCH]


def test_a_short_run_may_lose_as_much_as_one_event_takes() -> None:
    for led_from, red in ((20.9, False), (21.1, True)):
        story = Story()
        story.quorum = Spans([(0.0, 40.0)])
        story.believe("w0.1", 10, 1.0, 20.0)
        story.delete(20.0, 12, "w0.1")
        story.believe("w1.1", 11, led_from, 59.0)
        assert story.red() == ([AVOIDABLE] if red else [])


def test_the_election_service_may_lose_more() -> None:
    story = Story()
    for lines in story.workers.values():
        lines[0]["via"] = "service"
    story.believe("w0.1", 10, 1.0, 20.0)
    story.delete(20.0, 12, "w0.1")
    story.believe("w1.1", 11, 21.9, 59.0)
    assert story.red() == []


def test_time_without_a_leader_that_nobody_could_avoid() -> None:
    story = Story.good()
    story.workers["w1.1"].pop()
    story.believe("w1.1", 11, 30.0, 59.0)
    story.quorum = Spans([(0.0, 22.0), (25.9, END)])
    story.link(19.9, 1, "deaf to client")
    story.link(23.0, 1, "pass")
    story.process(23.0, "w1.1", "stopped")
    story.process(30.0, "w1.1", "running")
    assert not {AVOIDABLE, STRETCH} & set(story.red())


UNBELIEVED = "leadership nobody believes in"


def test_a_leadership_that_nobody_believes_in() -> None:
    for until, red in ((23.6, False), (23.8, True)):
        story = killed_at_20(until, until + 0.01)
        assert (UNBELIEVED in story.red()) == red


OBSERVERS = "observers too late"


def test_an_observer_that_is_late() -> None:
    for told_at, red in ((24.9, False), (25.1, True)):
        story = Story.good()
        story.observed(1.0, "w0.1", 10)
        story.observed(20.0, "w0.1", 11)
        story.observed(1.0, "w1.1", 10)
        story.observed(told_at, "w1.1", 11)
        assert story.red() == ([OBSERVERS] if red else [])


def test_an_observer_that_cannot_be_told() -> None:
    story = Story.good()
    story.observed(1.0, "w0.1", 10)
    story.observed(30.0, "w0.1", 11)
    story.observed(1.0, "w1.1", 10)
    story.observed(20.0, "w1.1", 11)
    story.link(19.0, 0, "deaf to server")
    story.link(25.5, 0, "pass")
    assert story.red() == []


STUCK = "stuck candidates"


def test_a_candidate_without_a_place_in_the_queue() -> None:
    for back_at, red in ((34.0, False), (36.0, True)):
        story = Story.good()
        story.worker(30.0, "w0.1", "campaign")
        if back_at:
            story.put(back_at, 20, "w0.1")
        assert (STUCK in story.red()) == red


def test_what_is_left() -> None:
    story = Story.good()
    story.nemesis.append({"t": 59.5, "what": "left", "things": ["lease 1"]})
    assert story.red() == ["leases and keys left"]


@pytest.mark.parametrize(
    ("during", "module", "kind", "red"),
    [
        ("campaign", "etcd_election.errors", "SessionExpired", False),
        ("campaign", "etcd_election.errors", "Unavailable", False),
        ("campaign", "etcd_election.errors", "EtcdError", True),
        ("campaign", "grpc._channel", "Unavailable", True),
        ("campaign", "builtins", "RuntimeError", True),
        ("resign", "etcd_election.errors", "Unavailable", False),
        ("resign", "etcd_election.errors", "SessionExpired", True),
        ("close", "etcd_election.errors", "Unavailable", True),
    ],
)
def test_exceptions(during: str, module: str, kind: str, red: bool) -> None:
    story = Story.good()
    story.worker(30.0, "w0.1", "error", during=during, kind=kind, module=module, text="")
    assert story.red() == (["undocumented exceptions"] if red else [])


def test_a_process_that_ends_badly() -> None:
    story = Story.good()
    story.process(END, "w0.1", "ended", status=-11)
    assert story.red() == ["processes that ended badly"]


def test_forks_that_go_wrong() -> None:
    for what in ("forked", "fork hangs"):
        story = Story.good()
        story.worker(30.0, "w0.1", what, believes=what == "forked")
        assert story.red() == ["forks that went wrong"]


@pytest.mark.parametrize("what", ["threads", "tasks", "fds"])
def test_growth(what: str) -> None:
    for grows in (False, True):
        story = Story.good()
        for second in range(50):
            counts = dict.fromkeys(("threads", "tasks", "fds"), 10)
            counts[what] += second if grows else 0
            story.worker(float(second), "w0.1", "usage", **counts)
        assert story.red() == (["growth in 1 processes"] if grows else [])


def test_a_process_that_was_cut_off_early_on_has_not_grown() -> None:
    story = Story.good()
    for second in range(50):
        cut_off = 4 < second < 18
        story.worker(float(second), "w0.1", "usage", threads=6 if cut_off else 12, tasks=20, fds=20)
    assert story.red() == []


def test_news_that_overtake_each_other_are_put_in_order() -> None:
    story = Story.good()
    # One member told of revision 12 late, when another had told of 13 long before.
    story.truth[-2]["t"] = 59.5
    history = story.history()
    assert [life.gone_at for life in history.lives] == [59.0, 59.0]


def test_spans() -> None:
    one = Spans([(3.0, 4.0), (0.0, 1.0), (0.5, 2.0), (5.0, 5.0)])
    assert list(one) == [(0.0, 2.0), (3.0, 4.0)]
    assert list(one & Spans([(1.0, 3.5)])) == [(1.0, 2.0), (3.0, 3.5)]
    assert list(one - Spans([(1.0, 3.5)])) == [(0.0, 1.0), (3.5, 4.0)]
    assert list(one | Spans([(2.0, 3.0)])) == [(0.0, 4.0)]
    assert (one.total, one.longest) == (3.0, 2.0)
    assert 1.5 in one
    assert 2.0 not in one


def test_a_seed_gives_the_same_schedule_and_every_kind_comes() -> None:
    faults = schedule(5, 60.0, 3, 4)
    assert faults == schedule(5, 60.0, 3, 4)
    assert faults != schedule(6, 60.0, 3, 4)
    assert {fault.kind for fault in faults} == set(Kind)
    assert all(0 < fault.at < 60 for fault in faults)
