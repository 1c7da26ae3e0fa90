"""Reads that anybody may do, without a session."""

from __future__ import annotations

import logging

import pytest

from etcd_election import errors
from etcd_election._core import standing
from etcd_election._core.effects import Failure
from etcd_election._core.link import Link
from etcd_election._core.method import Method
from etcd_election._core.plans import reading
from etcd_election.pb import rpc_pb2, v3election_pb2

from .support import DENIED, NAME, START, FakeClock, Script, kv, led_by, make_link, ranged


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def link(clock: FakeClock) -> Link:
    return make_link(clock)


DEADLINE = START + 5
NO_LEADER = Failure("UNKNOWN", "election: no leader")
NO_USER = Failure("INVALID_ARGUMENT", "etcdserver: user name is empty")


@pytest.mark.parametrize("reply", [ranged(), DENIED], ids=["OK", "no permission for that key"])
def test_any_answer_of_the_cluster_shows_that_etcd_is_there(
    link: Link, clock: FakeClock, reply: object
) -> None:
    script = Script(reading.check(link, deadline=DEADLINE), clock)
    request = script.invoke(Method.RANGE, reply).request  # type: ignore[arg-type]
    assert isinstance(request, rpc_pb2.RangeRequest)
    assert not request.serializable, "a member on its own proves nothing"
    script.returned()


def test_etcd_that_wants_to_know_who_asks_is_found_out_at_once(
    link: Link, clock: FakeClock
) -> None:
    script = Script(reading.check(link, deadline=DEADLINE), clock)
    script.invoke(Method.RANGE, NO_USER)
    script.raised(errors.AuthenticationFailed)


def test_etcd_that_is_not_there_is_found_out(link: Link, clock: FakeClock) -> None:
    script = Script(reading.check(link, deadline=START + 1), clock)
    script.silent(Method.RANGE)
    assert str(script.raised(errors.Unavailable)).startswith("open: etcd did not answer")


def test_leader_is_whom_the_election_service_names(link: Link, clock: FakeClock) -> None:
    script = Script(reading.leader(link, NAME, deadline=DEADLINE), clock)
    entry = kv(b"jobs/abc", 20, 25, lease=0xABC)
    request = script.invoke(Method.LEADER, led_by(entry, revision=30)).request
    assert request == v3election_pb2.LeaderRequest(name=NAME)
    assert script.returned() == standing.as_leader(NAME, entry, 30)


def test_no_leader_is_an_error_of_its_own(link: Link, clock: FakeClock) -> None:
    script = Script(reading.leader(link, NAME, deadline=DEADLINE), clock)
    script.invoke(Method.LEADER, NO_LEADER)
    assert script.raised(errors.NoLeader).name == NAME


def test_refusal_is_not_taken_for_a_vacancy(link: Link, clock: FakeClock) -> None:
    script = Script(reading.leader(link, NAME, deadline=DEADLINE), clock)
    script.invoke(Method.LEADER, DENIED)
    script.raised(errors.PermissionDenied)


def test_candidates_come_in_the_order_of_the_queue(link: Link, clock: FakeClock) -> None:
    script = Script(reading.candidates(link, NAME, deadline=DEADLINE), clock)
    first, second = kv(b"jobs/abc", 20), kv(b"jobs/aaa", 21)
    request = script.invoke(Method.RANGE, ranged(first, second, revision=30)).request
    assert request == standing.queue(NAME)
    leaders = script.returned()
    assert [leader.key for leader in leaders] == [b"jobs/abc", b"jobs/aaa"]
    assert {leader.revision for leader in leaders} == {30}


def test_nobody_in_the_queue_is_an_empty_list(link: Link, clock: FakeClock) -> None:
    script = Script(reading.candidates(link, NAME, deadline=DEADLINE), clock)
    script.invoke(Method.RANGE, ranged())
    assert script.returned() == []


def test_foreign_key_is_listed_as_it_may_lead_and_warned_about(
    link: Link, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    script = Script(reading.candidates(link, NAME, deadline=DEADLINE), clock)
    with caplog.at_level(logging.WARNING, "etcd_election"):
        script.invoke(Method.RANGE, ranged(kv(b"jobs/sub/1", 5), kv(b"jobs/abc", 20)))
    assert len(script.returned()) == 2
    assert "b'jobs/sub/1'" in caplog.text


def test_queue_that_may_not_be_read_is_an_error(link: Link, clock: FakeClock) -> None:
    script = Script(reading.candidates(link, NAME, deadline=DEADLINE), clock)
    script.invoke(Method.RANGE, DENIED)
    script.raised(errors.PermissionDenied)
