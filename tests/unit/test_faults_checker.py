"""The fault suite's checker, on made-up logs: green for a good run, red for what is left behind.

How it merges logs, and the schedule.
"""

from __future__ import annotations

import pytest

from tests.faults.checker import judge
from tests.faults.rows import table
from tests.faults.schedule import Kind, schedule
from tests.faults.spans import Spans

from .fault_story import END, Story


def test_a_good_run_holds_every_promise() -> None:
    rows = judge(Story.good().history())
    assert all(row.holds for row in rows), table(rows)


LEFT = "leases and keys left"


def test_what_is_left() -> None:
    story = Story.good()
    story.nemesis.append({"t": 59.5, "what": "left", "things": ["lease 1"]})
    assert story.red() == [LEFT]


def test_what_outlives_a_process_that_ended_in_good_order() -> None:
    for gone_at, red in ((30.05, False), (30.2, True)):
        story = Story.handed_over()
        story.put(25.0, 20, "w0.1")
        story.process(30.0, "w0.1", "ended", status=0)
        story.delete(gone_at, 21, "w0.1")
        assert story.red() == ([LEFT] if red else [])


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
    # Its lease ran out: it was cut off.
    story.link(28.0, 0, "refuse")
    story.worker(30.0, "w0.1", "error", during=during, kind=kind, module=module, text="")
    story.link(30.1, 0, "pass")
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
