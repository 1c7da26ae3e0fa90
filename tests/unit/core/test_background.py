"""The background of a connection: what it starts ends when nobody needs it, and is started once."""

from __future__ import annotations

import gc

import pytest

from etcd_election._core import timing
from etcd_election._core.background import Background
from etcd_election._core.effects import Fact, Invoke, KeyGone, Plan, Receive, Word
from etcd_election._core.leadership import LeadershipState
from etcd_election._core.lease import LeaseClock
from etcd_election._core.link import Link
from etcd_election._core.method import Method
from etcd_election.types import LostReason

from .support import (
    LEASE_NOT_FOUND,
    NAME,
    SILENCE,
    START,
    FakeClock,
    Script,
    kept,
    make_link,
    revoked,
    steady,
)

ID = 0xABC
KEY = b"jobs/abc"
TOKEN = 20


class Task:
    """A plan that was started, and what it was told."""

    def __init__(self, script: Script[object]) -> None:
        self.script = script
        self.told: list[Fact] = []


class FakeRunner:
    """Starts plans up to their first effect."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.tasks: list[Task] = []

    def start(self, plan: Plan[object]) -> Task:
        task = Task(Script(plan, self.clock))
        self.tasks.append(task)
        return task

    def tell(self, task: Task, fact: Fact) -> None:
        task.told.append(fact)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def link(clock: FakeClock) -> Link:
    return make_link(clock, random=steady())


@pytest.fixture
def runner(clock: FakeClock) -> FakeRunner:
    return FakeRunner(clock)


@pytest.fixture
def background(link: Link, runner: FakeRunner) -> Background[Task]:
    return Background(link, runner)


def granted(link: Link, lease_id: int = ID) -> LeaseClock:
    lease = link.new_lease(lease_id)
    assert lease.renewed(sent_at=START, ttl=15)
    return lease


@pytest.fixture
def lease(link: Link) -> LeaseClock:
    return granted(link)


@pytest.fixture
def state(lease: LeaseClock) -> LeadershipState:
    return LeadershipState(
        name=NAME, key=KEY, token=TOKEN, value=b"me", mod_revision=TOKEN, lease=lease
    )


def test_kept_lease_is_renewed_until_it_ends(
    background: Background[Task], runner: FakeRunner, lease: LeaseClock
) -> None:
    background.keep(lease)
    (task,) = runner.tasks
    task.script.receive()
    task.script.invoke(Method.KEEPALIVE, kept(ID))
    assert lease.renewed_at > START
    assert task.told == []
    lease.end(LostReason.CLOSED)
    assert task.told == [Word.STOP], "or it would wait for the next beat, and keep the lease alive"
    task.script.receive(Word.STOP)
    task.script.returned()
    assert runner.tasks == [task]


def test_lease_that_has_ended_before_it_is_kept_is_let_go_at_once(
    background: Background[Task], runner: FakeRunner, lease: LeaseClock
) -> None:
    lease.end(LostReason.CLUSTER_CHANGED)
    background.keep(lease)
    (task,) = runner.tasks
    task.script.returned()
    assert task.told == [Word.STOP]


def test_leader_that_resigns_is_watched_over_no_more(
    background: Background[Task], runner: FakeRunner, state: LeadershipState
) -> None:
    background.watch_over(state)
    (task,) = runner.tasks
    task.script.receive(after=timing.SHORT_TERM)
    assert task.script.watch() == {KEY}
    state.end(LostReason.RESIGNED)
    assert task.told == [], "no work beside the call that resigns: its watch will tell"
    task.script.heard(KeyGone(KEY, TOKEN + 1))
    task.script.returned()
    assert background.retirements() == [], "the next campaign uses the lease"


def test_leader_that_resigned_is_let_go_by_the_beat_where_the_watch_is_deaf(
    background: Background[Task], runner: FakeRunner, state: LeadershipState
) -> None:
    background.watch_over(state)
    (task,) = runner.tasks
    task.script.receive(after=timing.SHORT_TERM)
    task.script.watch()
    state.end(LostReason.RESIGNED)
    assert task.script.receive().seconds <= state.lease.ttl / 3
    task.script.returned()


def test_leader_that_closes_is_watched_over_no_more(
    background: Background[Task], runner: FakeRunner, state: LeadershipState
) -> None:
    background.watch_over(state)
    (task,) = runner.tasks
    task.script.receive(after=timing.SHORT_TERM)
    task.script.watch()
    state.end(LostReason.CLOSED)
    assert task.told == [Word.STOP]
    task.script.receive(Word.STOP)
    task.script.returned()
    assert background.retirements() == []


def test_leadership_that_is_over_before_it_is_watched_is_let_go_at_once(
    background: Background[Task], runner: FakeRunner, state: LeadershipState
) -> None:
    state.end(LostReason.CLOSED)
    background.watch_over(state)
    (task,) = runner.tasks
    assert task.told == [Word.STOP]
    task.script.receive(Word.STOP)
    task.script.returned()


def test_lease_of_a_leadership_that_was_lost_is_revoked_by_the_same_background(
    background: Background[Task], runner: FakeRunner, state: LeadershipState
) -> None:
    background.watch_over(state)
    (task,) = runner.tasks
    task.script.receive(after=timing.SHORT_TERM)
    task.script.watch()
    state.end(LostReason.TAKEN_OVER)
    assert task.told == [Word.STOP]
    task.script.receive(Word.STOP)
    task.script.returned()
    (retirement,) = background.retirements()
    assert retirement.script.invoke(Method.REVOKE, revoked()).request.ID == ID  # type: ignore[attr-defined]


def test_retired_lease_is_believed_in_no_more_and_revoked(
    background: Background[Task], runner: FakeRunner, lease: LeaseClock
) -> None:
    background.retire(lease)
    assert lease.ended is LostReason.CLOSED
    (task,) = runner.tasks
    assert task.script.invoke(Method.REVOKE, revoked()).request.ID == ID  # type: ignore[attr-defined]
    assert task.script.returned() is True


def test_retired_lease_is_not_believed_in_until_its_task_comes_to_run(
    link: Link, lease: LeaseClock, clock: FakeClock
) -> None:
    class BusyRunner(FakeRunner):
        def start(self, plan: Plan[object]) -> Task:
            assert not lease.alive
            return super().start(plan)

    background: Background[Task] = Background(link, BusyRunner(clock))
    background.retire(lease)
    assert len(background.retirements()) == 1


def test_lease_is_retired_by_one_task_however_often_it_is_asked_for(
    background: Background[Task], runner: FakeRunner, lease: LeaseClock, link: Link
) -> None:
    task = background.retiring(lease)
    background.retire(lease)
    assert background.retiring(lease) is task
    task.script.invoke(Method.REVOKE, revoked())
    assert background.retiring(lease) is task, "over, and whoever waits for it need not wait"
    other = granted(link, ID + 1)
    assert background.retiring(other) is not task
    assert len(runner.tasks) == 2


def test_leases_of_the_same_number_are_retired_apart(
    background: Background[Task], runner: FakeRunner, lease: LeaseClock, link: Link
) -> None:
    """A successor may have taken the number up."""
    again = granted(link)
    assert background.retiring(lease) is not background.retiring(again)
    assert len(background.retirements()) == 2


def test_all_that_is_still_being_revoked_can_be_waited_for(
    background: Background[Task], lease: LeaseClock, link: Link
) -> None:
    assert background.retirements() == []
    other = granted(link, ID + 1)
    tasks = [background.retiring(lease), background.retiring(other)]
    assert background.retirements() == tasks
    for task in tasks:
        task.script.expect(Invoke)


def test_confirmed_removal_is_noted_and_one_in_vain_is_not(
    background: Background[Task], lease: LeaseClock, link: Link, clock: FakeClock
) -> None:
    assert background.confirmed_at == float("-inf")
    task = background.retiring(lease)
    clock.advance(lease.ttl + timing.RETIRE_AFTER)
    task.script.invoke(Method.REVOKE, SILENCE)
    task.script.receive()
    assert task.script.returned() is False
    assert background.confirmed_at == float("-inf")
    task = background.retiring(link.new_lease(ID + 1))
    clock.advance(timing.GRANT_MAY_LAND)
    task.script.invoke(Method.REVOKE, revoked())
    assert task.script.returned() is True
    assert background.confirmed_at == clock()


def test_lease_that_was_revoked_is_not_remembered_for_ever(
    background: Background[Task], runner: FakeRunner, link: Link
) -> None:
    task = background.retiring(granted(link))
    task.script.invoke(Method.REVOKE, LEASE_NOT_FOUND)
    assert task.script.returned() is True
    gc.collect()
    assert background.retirements() == []


def test_lease_that_nobody_else_remembers_is_revoked_all_the_same(
    background: Background[Task], link: Link
) -> None:
    background.retire(link.new_lease(ID))
    gc.collect()
    (task,) = background.retirements()
    task.script.invoke(Method.REVOKE, LEASE_NOT_FOUND)
    task.script.expect(Receive)
    gc.collect()
    assert background.retirements() == [task], "its grant may land yet"
