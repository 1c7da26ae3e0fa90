"""One call: endpoint after endpoint, in short attempts, and never twice what may hurt."""

from __future__ import annotations

from itertools import pairwise

import pytest

from etcd_election import errors
from etcd_election._core import timing
from etcd_election._core.effects import NO_TURN, Failure, Invoke, LookUp, Probe, Sleep, Word
from etcd_election._core.link import Link
from etcd_election._core.method import Method
from etcd_election._core.plans.authenticating import authenticate, token_at_hand
from etcd_election._core.plans.call import Answer, Refusal, ask, call
from etcd_election._core.plans.interrupting import Interrupted
from etcd_election._core.status import Fault, Meaning, OwnCertificate
from etcd_election.pb import rpc_pb2

from .support import (
    AUTH_OFF,
    DENIED,
    HANGS_UP,
    LATE,
    LEASE_NOT_FOUND,
    NAME_EMPTY,
    NO_RAFT_LEADER,
    REFUSED_CONNECTION,
    SILENCE,
    START,
    TOKEN_REFUSED,
    WRONG_CA,
    WRONG_PASSWORD,
    FakeClock,
    Script,
    authenticated,
    make_link,
    ranged,
    steady,
)

REQUEST = rpc_pb2.RangeRequest(key=b"k")
USER = ("root", "hunter2")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def asking(
    link: Link,
    clock: FakeClock,
    *,
    seconds: float = 5.0,
    idempotent: bool = True,
    enduring: bool = False,
) -> Script[Answer | Refusal]:
    plan = ask(
        link,
        "read",
        Method.RANGE,
        REQUEST,
        deadline=clock() + seconds,
        idempotent=idempotent,
        enduring=enduring,
    )
    return Script(plan, clock)


class FakeIdentity:
    """Certificates that are noticed to have been replaced at the next look."""

    def __init__(self, own: OwnCertificate) -> None:
        self.version = 0
        self.replaced = False
        self._own = own

    def look(self) -> int:
        self.version += self.replaced
        self.replaced = False
        return self.version

    def own(self) -> OwnCertificate:
        return self._own


def endpoints(script: Script[Answer | Refusal]) -> list[int]:
    return [invoke.endpoint for invoke in script.calls]


def test_answer_says_when_its_request_was_sent(clock: FakeClock) -> None:
    """A lease is counted from there."""
    link = make_link(clock)
    script = asking(link, clock)
    invoke = script.invoke(Method.RANGE, ranged(), took=0.2)
    assert invoke.request is REQUEST
    assert invoke.metadata == (("hasleader", "true"),)
    answer = script.returned()
    assert isinstance(answer, Answer)
    assert (answer.sent_at, answer.endpoint, answer.attempt) == (START, 0, 0)
    assert answer.message == ranged()
    assert link.latency == pytest.approx(0.2)
    assert not link.ring.fresh(0)


def test_attempts_are_short_and_the_first_may_connect(clock: FakeClock) -> None:
    link = make_link(clock)
    script = asking(link, clock, seconds=30)
    timeouts = [script.silent(Method.RANGE).timeout for _ in range(7)]
    assert timeouts == pytest.approx([1.3, 0.5, 1.0, 1.0, 2.0, 2.0, 2.0])


def test_attempts_grow_longer_only_when_all_endpoints_were_tried(clock: FakeClock) -> None:
    """A member that stands still costs a lease 0.3 s, wherever its turn comes."""
    link = make_link(clock, endpoints=3)
    for endpoint in range(3):
        link.ring.worked(endpoint, START)
    script = asking(link, clock, seconds=30)
    timeouts = [script.silent(Method.RANGE).timeout for _ in range(8)]
    assert timeouts == pytest.approx([0.3, 0.3, 0.3, 0.5, 0.5, 0.5, 1.0, 1.0])


def test_suspected_connection_is_given_no_time_to_connect_where_there_are_others(
    clock: FakeClock,
) -> None:
    link = make_link(clock, endpoints=2)
    for endpoint in range(2):
        link.ring.worked(endpoint, START)
        link.ring.suspect(endpoint, START)
    assert asking(link, clock).expect(Invoke).timeout == pytest.approx(0.3)


def test_known_connection_is_not_waited_for(clock: FakeClock) -> None:
    link = make_link(clock)
    link.ring.worked(0, START)
    assert asking(link, clock).expect(Invoke).timeout == pytest.approx(0.3)


def test_distant_cluster_is_given_the_time_it_takes(clock: FakeClock) -> None:
    link = make_link(clock)
    link.ring.worked(0, START)
    link.latency = 0.2
    assert asking(link, clock).expect(Invoke).timeout == pytest.approx(1.6)


def test_slowness_of_the_past_does_not_let_one_endpoint_eat_all_the_time(clock: FakeClock) -> None:
    link = make_link(clock, endpoints=2)
    link.ring.worked(0, START)
    link.latency = 0.8
    script = asking(link, clock)
    assert script.silent(Method.RANGE).timeout == pytest.approx(2.5)
    assert script.expect(Invoke).timeout == pytest.approx(1.6, abs=0.01)


def test_no_attempt_outlasts_the_operation(clock: FakeClock) -> None:
    link = make_link(clock)
    script = asking(link, clock, seconds=1.5)
    script.silent(Method.RANGE)
    assert script.expect(Invoke).timeout == pytest.approx(0.2, abs=0.01)
    script.silent(Method.RANGE)
    error = script.raised(errors.Unavailable)
    assert clock() == pytest.approx(START + 1.5, abs=0.01)
    assert error.code.name == "DEADLINE_EXCEEDED"


def test_next_attempt_goes_elsewhere(clock: FakeClock) -> None:
    link = make_link(clock, endpoints=3)
    script = asking(link, clock)
    script.silent(Method.RANGE)
    script.silent(Method.RANGE)
    script.invoke(Method.RANGE, ranged())
    assert endpoints(script) == [0, 1, 2]
    answer = script.returned()
    assert isinstance(answer, Answer)
    assert (answer.endpoint, answer.attempt) == (2, 2)
    assert link.ring.pick() == 2, "and the next call goes where it was answered"


def test_endpoint_that_works_for_others_is_still_left_by_a_call_that_failed(
    clock: FakeClock,
) -> None:
    """Starved there, it is not to wait for the same again."""
    link = make_link(clock, endpoints=2)
    script = asking(link, clock)
    link.ring.worked(0, clock() + 0.1)
    script.silent(Method.RANGE)
    assert script.expect(Invoke).endpoint == 1
    assert link.ages == [0, 0]


def test_one_endpoint_is_tried_again_and_again(clock: FakeClock) -> None:
    script = asking(make_link(clock), clock)
    script.silent(Method.RANGE)
    script.silent(Method.RANGE)
    script.invoke(Method.RANGE, ranged())
    assert isinstance(script.returned(), Answer)
    assert endpoints(script) == [0, 0, 0]


def test_refused_connections_are_not_hammered(clock: FakeClock) -> None:
    link = make_link(clock, endpoints=2, random=steady(0.5))
    script = asking(link, clock)
    delays = []
    for _ in range(6):
        script.invoke(Method.RANGE, REFUSED_CONNECTION)
        script.invoke(Method.RANGE, REFUSED_CONNECTION)
        delays.append(script.sleep().seconds)
    assert delays == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.5, 0.5])
    assert all(one != next_ for one, next_ in pairwise(endpoints(script)))


def test_pause_is_made_only_where_all_failed_at_once(clock: FakeClock) -> None:
    script = asking(make_link(clock, endpoints=2), clock)
    script.invoke(Method.RANGE, REFUSED_CONNECTION)
    script.silent(Method.RANGE)
    script.invoke(Method.RANGE, REFUSED_CONNECTION)
    script.expect(Sleep)


def test_pause_ends_with_the_operation(clock: FakeClock) -> None:
    script = asking(make_link(clock), clock, seconds=0.01)
    script.invoke(Method.RANGE, REFUSED_CONNECTION)
    assert script.sleep().seconds <= 0.01
    script.raised(errors.Unavailable)


def test_busy_member_is_left_for_another(clock: FakeClock) -> None:
    link = make_link(clock, endpoints=2)
    script = asking(link, clock)
    script.invoke(Method.RANGE, NO_RAFT_LEADER)
    script.invoke(Method.RANGE, ranged())
    assert endpoints(script) == [0, 1]
    assert link.ages == [0, 0], "its connection stands"


def test_silent_connection_is_made_anew(clock: FakeClock) -> None:
    link = make_link(clock, endpoints=2)
    script = asking(link, clock)
    script.silent(Method.RANGE)
    script.invoke(Method.RANGE, REFUSED_CONNECTION)
    assert link.ages == [1, 0]


def known(clock: FakeClock, *, endpoints: int = 3) -> Link:
    """A connection on which every endpoint has answered a millisecond ago."""
    link = make_link(clock, endpoints=endpoints)
    for endpoint in range(endpoints):
        link.answered(endpoint, Method.RANGE, ranged(), clock() - 0.001, 0)
    clock.advance(1)
    return link


def test_silence_of_one_endpoint_is_no_longer_waited_for_than_another_takes(
    clock: FakeClock,
) -> None:
    link = known(clock)
    script = asking(link, clock)
    invoke = script.overtaken(Method.RANGE, ranged())
    assert (invoke.endpoint, invoke.beside) == (0, 1)
    assert invoke.beside_after == pytest.approx(0.1)
    answer = script.returned()
    assert isinstance(answer, Answer)
    assert (answer.endpoint, answer.attempt) == (1, 1)
    assert answer.sent_at == START + 1, "a lease is counted from the first request"
    assert link.latency == pytest.approx(0.001, abs=1e-6), "what the other was asked later counts"
    assert link.ages == [1, 0, 0], "its connection may be what is silent"
    assert script_of_next(link, clock).endpoint == 1


def test_endpoint_beside_takes_no_less_than_no_time_where_the_first_one_waited_for_its_turn(
    clock: FakeClock,
) -> None:
    """A latency below zero never came back: attempts were too short for a distant etcd."""
    link = known(clock)
    script = asking(link, clock)
    effect = script.expect(Invoke)
    # As the gate does. The other endpoint is asked all the same a third after the beginning.
    effect.sent_at += effect.beside_after * 0.9
    script.overtaken(Method.RANGE, ranged())
    assert link.latency == pytest.approx(0.001, abs=1e-6)
    answer = script.returned()
    assert isinstance(answer, Answer)
    assert answer.sent_at == effect.sent_at


def script_of_next(link: Link, clock: FakeClock) -> Invoke:
    return asking(link, clock).expect(Invoke)


@pytest.mark.parametrize(("took", "attempt"), [(0.05, 0), (0.15, 1)])
def test_answer_of_the_first_may_come_of_what_the_other_has_done(
    clock: FakeClock, took: float, attempt: int
) -> None:
    """A lease that is unknown by then was revoked by us."""
    link = known(clock)
    plan = ask(link, "revoke", Method.REVOKE, REQUEST, deadline=clock() + 5)
    script = Script(plan, clock)
    script.invoke(Method.REVOKE, LEASE_NOT_FOUND, took=took)
    refusal = script.returned()
    assert isinstance(refusal, Refusal)
    assert (refusal.meaning, refusal.attempt) == (Meaning.LEASE_GONE, attempt)


def test_refusal_that_is_final_counts_wherever_it_comes_from(clock: FakeClock) -> None:
    link = known(clock, endpoints=2)
    script = asking(link, clock)
    script.overtaken(Method.RANGE, DENIED)
    refusal = script.returned()
    assert isinstance(refusal, Refusal)
    assert (refusal.meaning, refusal.attempt) == (Meaning.DENIED, 1)
    assert not link.ring.suspected(1)


@pytest.mark.parametrize(
    ("method", "idempotent", "endpoints", "beside"),
    [
        (Method.KEEPALIVE, True, 2, 1),
        (Method.RESIGN, True, 2, 1),
        (Method.RANGE, True, 1, None),
        (Method.GRANT, True, 2, None),
        (Method.TXN, True, 2, None),
        (Method.PROCLAIM, False, 2, None),
    ],
)
def test_only_what_may_land_late_is_under_way_twice(
    clock: FakeClock, method: Method, idempotent: bool, endpoints: int, beside: int | None
) -> None:
    link = known(clock, endpoints=endpoints)
    plan = ask(link, "ask", method, REQUEST, deadline=clock() + 5, idempotent=idempotent)
    assert Script(plan, clock).expect(Invoke).beside == beside


def test_error_tells_what_every_endpoint_said(clock: FakeClock) -> None:
    cause = RuntimeError("the grpc error")
    script = asking(make_link(clock, endpoints=4), clock, seconds=0.3)
    script.invoke(Method.RANGE, REFUSED_CONNECTION)
    script.invoke(Method.RANGE, Failure("UNAVAILABLE", ""))
    rest = script.expect(Invoke).timeout + LATE
    script.invoke(Method.RANGE, Failure("DEADLINE_EXCEEDED", "too late", cause), took=rest)
    error = script.raised(errors.Unavailable)
    assert error.attempts == (
        "etcd0:2379: failed to connect to all addresses; last error: ...",
        "etcd1:2379: UNAVAILABLE",
        "etcd2:2379: too late",
        "etcd3:2379: not tried",
    )
    assert str(error).startswith("read: etcd did not answer within 0.30 s (etcd0:2379: failed")
    assert error.details == "too late"
    assert error.__cause__ is cause


def test_no_time_means_no_call(clock: FakeClock) -> None:
    error = asking(make_link(clock), clock, seconds=0).raised(errors.Unavailable)
    assert error.attempts == ("etcd0:2379: not tried",)
    assert error.code.name == "UNAVAILABLE"
    assert error.__cause__ is None
    assert not error.maybe_applied


@pytest.mark.parametrize(("reply", "sent"), [(REFUSED_CONNECTION, False), (SILENCE, True)])
def test_error_tells_whether_anything_may_have_been_carried_out(
    clock: FakeClock, reply: Failure, sent: bool
) -> None:
    script = asking(make_link(clock), clock, seconds=0.5)
    script.invoke(Method.RANGE, reply, took=0.2)
    script.invoke(Method.RANGE, REFUSED_CONNECTION, took=0.3)
    assert script.raised(errors.Unavailable).maybe_applied is sent


def test_what_repeating_cannot_mend_is_not_repeated(clock: FakeClock) -> None:
    link = make_link(clock)
    script = asking(link, clock)
    script.silent(Method.RANGE)
    script.invoke(Method.RANGE, DENIED)
    assert script.returned() == Refusal(Meaning.DENIED, DENIED, 1)
    assert not link.ring.fresh(0), "it did answer"


def test_answer_of_something_else_than_etcd_is_not_believed(clock: FakeClock) -> None:
    """No etcd answers a read without the number of its cluster."""
    script = asking(make_link(clock), clock)
    script.invoke(Method.RANGE, rpc_pb2.RangeResponse())
    assert "not one of etcd's" in str(script.raised(errors.EtcdError))


def test_call_turns_a_refusal_into_an_error(clock: FakeClock) -> None:
    deadline = clock() + 5
    script = Script(call(make_link(clock), "read", Method.RANGE, REQUEST, deadline=deadline), clock)
    script.invoke(Method.RANGE, DENIED)
    assert "read: etcdserver: permission denied" in str(script.raised(errors.PermissionDenied))


def test_call_is_repeated_until_it_is_answered(clock: FakeClock) -> None:
    deadline = clock() + 5
    script = Script(call(make_link(clock), "read", Method.RANGE, REQUEST, deadline=deadline), clock)
    script.silent(Method.RANGE)
    script.invoke(Method.RANGE, ranged())
    assert script.returned().message == ranged()


def test_call_that_may_hurt_twice_is_given_all_the_time(clock: FakeClock) -> None:
    script = asking(make_link(clock, endpoints=2), clock, idempotent=False)
    assert script.expect(Invoke).timeout == pytest.approx(5.0)


@pytest.mark.parametrize(
    "reply", [SILENCE, NO_RAFT_LEADER, Failure("UNAVAILABLE", "Socket closed")]
)
def test_call_that_may_have_been_carried_out_is_not_repeated(
    clock: FakeClock, reply: Failure
) -> None:
    script = asking(make_link(clock, endpoints=2), clock, idempotent=False)
    script.invoke(Method.RANGE, reply)
    error = script.raised(errors.Unavailable)
    assert error.maybe_applied
    assert error.details == reply.details


def test_call_that_surely_never_left_is_sent_again_elsewhere(clock: FakeClock) -> None:
    script = asking(make_link(clock, endpoints=2), clock, idempotent=False)
    script.invoke(Method.RANGE, REFUSED_CONNECTION)
    script.invoke(Method.RANGE, ranged())
    assert isinstance(script.returned(), Answer)
    assert endpoints(script) == [0, 1]


def test_call_that_never_left_in_all_its_time_was_surely_not_carried_out(
    clock: FakeClock,
) -> None:
    script = asking(make_link(clock), clock, seconds=0.02, idempotent=False)
    script.invoke(Method.RANGE, REFUSED_CONNECTION)
    script.sleep()
    assert not script.raised(errors.Unavailable).maybe_applied


@pytest.mark.parametrize("word", [Word.CANCELLED, Word.CLOSED])
def test_word_ends_the_wait_for_an_answer(clock: FakeClock, word: Word) -> None:
    script = asking(make_link(clock), clock)
    script.invoke(Method.RANGE, word)
    assert script.raised(Interrupted).word is word


def test_word_ends_a_pause(clock: FakeClock) -> None:
    script = asking(make_link(clock), clock)
    script.invoke(Method.RANGE, REFUSED_CONNECTION)
    script.sleep(Word.CANCELLED)
    assert script.raised(Interrupted).word is Word.CANCELLED


def test_nothing_is_sent_on_a_closed_connection(clock: FakeClock) -> None:
    link = make_link(clock, credentials=USER)
    link.closed = True
    script = asking(link, clock)
    assert "the connection is closed" in str(script.raised(errors.ClientClosed))
    assert script.calls == []
    assert link.tokens.begin(), "no token is fetched either"


def test_connection_that_is_closed_meanwhile_ends_the_attempts(clock: FakeClock) -> None:
    link = make_link(clock, endpoints=2)
    script = asking(link, clock)
    script.invoke(Method.RANGE, REFUSED_CONNECTION)
    link.closed = True
    script.invoke(Method.RANGE, REFUSED_CONNECTION)
    script.sleep()
    script.raised(errors.ClientClosed)
    assert endpoints(script) == [0, 1]


def test_token_is_fetched_first_and_goes_with_the_call(clock: FakeClock) -> None:
    link = make_link(clock, credentials=USER)
    script = asking(link, clock)
    login = script.invoke(Method.AUTHENTICATE, authenticated("secret"))
    assert login.request == rpc_pb2.AuthenticateRequest(name="root", password="hunter2")
    assert login.metadata == (), "a token refused before would be refused again"
    invoke = script.invoke(Method.RANGE, ranged())
    assert ("token", "secret") in invoke.metadata
    script.returned()
    again = asking(link, clock)
    again.invoke(Method.RANGE, ranged())
    again.returned()


def test_refused_token_is_replaced_once_and_the_call_repeated(clock: FakeClock) -> None:
    script = asking(make_link(clock, credentials=USER), clock)
    script.invoke(Method.AUTHENTICATE, authenticated("old"))
    script.invoke(Method.RANGE, TOKEN_REFUSED)
    script.invoke(Method.AUTHENTICATE, authenticated("new"))
    assert ("token", "new") in script.invoke(Method.RANGE, ranged()).metadata
    answer = script.returned()
    assert isinstance(answer, Answer)
    assert answer.attempt == 0, "a refused token is no attempt that may have been carried out"


def test_call_that_may_hurt_twice_is_repeated_after_a_refused_token(clock: FakeClock) -> None:
    script = asking(make_link(clock, credentials=USER), clock, idempotent=False)
    script.invoke(Method.AUTHENTICATE, authenticated("old"))
    script.invoke(Method.RANGE, TOKEN_REFUSED)
    script.invoke(Method.AUTHENTICATE, authenticated("new"))
    script.invoke(Method.RANGE, ranged())
    assert isinstance(script.returned(), Answer)


def test_token_refused_over_and_over_is_an_error_not_a_loop(clock: FakeClock) -> None:
    script = asking(make_link(clock, credentials=USER), clock)
    for number in range(timing.TOKEN_TRIES + 1):
        script.invoke(Method.AUTHENTICATE, authenticated(str(number)))
        script.invoke(Method.RANGE, TOKEN_REFUSED)
        if 0 < number < timing.TOKEN_TRIES:
            script.sleep()
    assert script.returned() == Refusal(Meaning.TOKEN_REFUSED, TOKEN_REFUSED, 0)


def test_member_that_lags_does_not_know_a_new_token_yet(clock: FakeClock) -> None:
    """A second refusal is no proof of anything but that: the call is tried again after a pause."""
    script = asking(make_link(clock, credentials=USER), clock)
    for token in ("old", "new"):
        script.invoke(Method.AUTHENTICATE, authenticated(token))
        script.invoke(Method.RANGE, TOKEN_REFUSED)
    script.sleep()
    script.invoke(Method.AUTHENTICATE, authenticated("newest"))
    script.invoke(Method.RANGE, ranged())
    assert isinstance(script.returned(), Answer)


def test_where_authentication_is_off_calls_go_without_a_token(clock: FakeClock) -> None:
    link = make_link(clock, credentials=USER)
    script = asking(link, clock)
    script.invoke(Method.AUTHENTICATE, AUTH_OFF)
    assert script.invoke(Method.RANGE, ranged()).metadata == (("hasleader", "true"),)
    assert isinstance(script.returned(), Answer)
    again = asking(link, clock)
    again.invoke(Method.RANGE, NAME_EMPTY)  # switched on
    again.invoke(Method.AUTHENTICATE, authenticated("secret"))
    assert ("token", "secret") in again.invoke(Method.RANGE, ranged()).metadata
    assert isinstance(again.returned(), Answer)


@pytest.mark.parametrize("answer", [authenticated("secret"), WRONG_PASSWORD])
def test_stream_is_opened_with_whatever_token_there_is(clock: FakeClock, answer: object) -> None:
    """That etcd does not know the user is told to those who ask, not to the watch stream."""
    script = Script(token_at_hand(make_link(clock, credentials=USER)), clock)
    script.invoke(Method.AUTHENTICATE, answer)
    script.returned()
    Script(token_at_hand(make_link(clock)), clock).returned()


def test_token_that_somebody_else_replaced_meanwhile_is_not_fetched_again(
    clock: FakeClock,
) -> None:
    link = make_link(clock, credentials=USER)
    script = asking(link, clock)
    script.invoke(Method.AUTHENTICATE, authenticated("old"))
    link.tokens.refused(1)
    link.tokens.begin()
    link.tokens.renewed("new")
    script.invoke(Method.RANGE, TOKEN_REFUSED)
    assert ("token", "new") in script.invoke(Method.RANGE, ranged()).metadata


def test_etcd_that_wants_a_user_where_none_was_given_is_refusing(clock: FakeClock) -> None:
    script = asking(make_link(clock), clock)
    script.invoke(Method.RANGE, TOKEN_REFUSED)
    assert isinstance(script.returned(), Refusal)


def test_others_wait_for_the_one_who_fetches_the_token(clock: FakeClock) -> None:
    link = make_link(clock, credentials=USER)
    first, second = asking(link, clock), asking(link, clock)
    second.sleep()
    second.sleep()
    first.invoke(Method.AUTHENTICATE, authenticated("secret"))
    second.sleep()
    assert ("token", "secret") in second.invoke(Method.RANGE, ranged()).metadata


def test_wrong_password_is_an_error_at_once_without_the_password_in_it(clock: FakeClock) -> None:
    link = make_link(clock, credentials=USER)
    script = asking(link, clock)
    script.invoke(Method.AUTHENTICATE, WRONG_PASSWORD)
    error = script.raised(errors.AuthenticationFailed)
    assert "hunter2" not in f"{error!r} {error.__dict__}"
    assert link.tokens.begin(), "the next one may try"


def test_token_is_fetched_elsewhere_when_one_endpoint_is_down(clock: FakeClock) -> None:
    link = make_link(clock, endpoints=2, credentials=USER)
    script = asking(link, clock)
    script.invoke(Method.AUTHENTICATE, REFUSED_CONNECTION)
    script.invoke(Method.AUTHENTICATE, authenticated("secret"))
    script.invoke(Method.RANGE, ranged())
    assert endpoints(script) == [0, 1, 1]
    answer = script.returned()
    assert isinstance(answer, Answer)
    assert answer.attempt == 0
    assert link.ages == [0, 0]


def test_fetching_a_token_from_nobody_neither_hammers_nor_forgets_why(clock: FakeClock) -> None:
    cause = RuntimeError("the grpc error")
    link = make_link(clock, endpoints=2, random=steady(0.5), credentials=USER)
    script = asking(link, clock, seconds=0.3)
    delays = []
    while script.effect is not None:
        script.invoke(Method.AUTHENTICATE, REFUSED_CONNECTION)
        script.invoke(Method.AUTHENTICATE, Failure("UNAVAILABLE", "Socket closed", cause))
        delays.append(script.sleep().seconds)
    assert delays[:2] == pytest.approx([0.05, 0.1])
    assert clock() == pytest.approx(START + 0.3, abs=0.01), "not a moment longer"
    error = script.raised(errors.Unavailable)
    assert error.attempts[0].startswith("etcd0:2379: failed to connect")
    assert error.attempts[1] == "etcd1:2379: Socket closed"
    assert error.__cause__ is cause
    assert not error.maybe_applied
    assert link.ages[0] == 0
    assert link.ages[1] > 0


def test_token_whose_turn_does_not_come_is_no_silence_of_etcd(clock: FakeClock) -> None:
    link = make_link(clock, credentials=USER)
    script = asking(link, clock)
    link.gate.held_up = 1.5
    login = script.invoke(Method.AUTHENTICATE, NO_TURN, took=0.0)
    assert login.until == pytest.approx(clock() + 5.0), "moves with the gate from now on"
    assert link.ages == [0], "the connection is as good as before"
    script.sleep()
    script.invoke(Method.AUTHENTICATE, authenticated("secret"))
    script.invoke(Method.RANGE, ranged())
    script.returned()


@pytest.mark.parametrize("ends", ["closed", "word", "pause"])
def test_plan_that_is_given_up_leaves_the_token_to_others(clock: FakeClock, ends: str) -> None:
    link = make_link(clock, credentials=USER)
    script = asking(link, clock)
    if ends == "closed":
        script.close()
    elif ends == "word":
        script.invoke(Method.AUTHENTICATE, Word.CANCELLED)
        script.raised(Interrupted)
    else:
        script.invoke(Method.AUTHENTICATE, REFUSED_CONNECTION)
        script.sleep(Word.CANCELLED)
        script.raised(Interrupted)
    assert link.tokens.begin()


def test_waiting_for_a_token_ends_with_the_operation(clock: FakeClock) -> None:
    link = make_link(clock, credentials=USER)
    link.tokens.begin()
    script = asking(link, clock, seconds=0.1)
    for _ in range(5):
        script.sleep()
    script.raised(errors.Unavailable)


def test_fetching_a_token_ends_with_the_operation(clock: FakeClock) -> None:
    script = asking(make_link(clock, credentials=USER), clock, seconds=0.5)
    assert script.silent(Method.AUTHENTICATE).timeout == pytest.approx(0.5)
    script.sleep()
    script.raised(errors.Unavailable)


def test_token_may_be_seen_to_without_a_call(clock: FakeClock) -> None:
    link = make_link(clock, credentials=USER)
    script = Script(authenticate(link, START + 5), clock)
    script.invoke(Method.AUTHENTICATE, REFUSED_CONNECTION)
    script.sleep()
    login = script.invoke(Method.AUTHENTICATE, authenticated("secret"))
    assert login.timeout == pytest.approx(2.0)
    script.returned()
    assert link.tokens.current()[0] == "secret"
    Script(authenticate(link, START + 5), clock).returned()


# No secure connection


def test_fault_of_the_only_endpoint_ends_the_call_at_once(clock: FakeClock) -> None:
    link = make_link(clock)
    script = asking(link, clock)
    script.invoke(Method.RANGE, WRONG_CA)
    error = script.raised(errors.Unavailable)
    assert clock() == pytest.approx(START, abs=0.01)
    assert Fault.ISSUER.value in str(error)
    assert error.attempts == (f"etcd0:2379: {Fault.ISSUER.value}: {WRONG_CA.details}",)
    assert error.details == WRONG_CA.details
    assert not error.maybe_applied
    assert link.ages == [0]


def test_fault_says_what_is_wrong_with_the_own_certificate(clock: FakeClock) -> None:
    refused = Failure("UNAVAILABLE", "failed to connect: Unwrap failed (TSI_DATA_CORRUPTED)")
    link = make_link(clock)
    script = asking(link, clock)
    script.invoke(Method.RANGE, refused)
    assert Fault.MISSING_CLIENT.value in str(script.raised(errors.Unavailable))
    link.identity = FakeIdentity(OwnCertificate.EXPIRED)
    script = asking(link, clock)
    script.invoke(Method.RANGE, refused)
    assert Fault.EXPIRED_CLIENT.value in str(script.raised(errors.Unavailable))


def test_fault_of_certificates_that_were_just_replaced_is_not_final(clock: FakeClock) -> None:
    """A connection may be older than the files: only what is said of these counts."""
    link = make_link(clock)
    link.identity = identity = FakeIdentity(OwnCertificate.GOOD)
    script = asking(link, clock)
    identity.replaced = True
    script.invoke(Method.RANGE, WRONG_CA)
    script.sleep()
    script.invoke(Method.RANGE, WRONG_CA)
    script.raised(errors.Unavailable)


@pytest.mark.parametrize("idempotent", [True, False])
def test_good_endpoint_is_found_among_bad_ones(clock: FakeClock, idempotent: bool) -> None:
    script = asking(make_link(clock, endpoints=3), clock, idempotent=idempotent)
    script.invoke(Method.RANGE, WRONG_CA)
    script.invoke(Method.RANGE, WRONG_CA)
    script.invoke(Method.RANGE, ranged())
    assert endpoints(script) == [0, 1, 2]
    assert isinstance(script.returned(), Answer)


def test_call_ends_when_the_last_endpoint_has_turned_out_bad(clock: FakeClock) -> None:
    script = asking(make_link(clock, endpoints=2), clock)
    script.invoke(Method.RANGE, WRONG_CA)
    script.invoke(Method.RANGE, REFUSED_CONNECTION)
    script.sleep()
    script.invoke(Method.RANGE, WRONG_CA)
    script.invoke(Method.RANGE, WRONG_CA)
    error = script.raised(errors.Unavailable)
    assert len(error.attempts) == 2


def test_enduring_call_goes_on_until_its_deadline(clock: FakeClock) -> None:
    script = asking(make_link(clock), clock, seconds=1.0, enduring=True)
    while script.effect is not None:
        script.invoke(Method.RANGE, WRONG_CA)
        script.sleep()
    error = script.raised(errors.Unavailable)
    assert clock() == pytest.approx(START + 1.0, abs=0.01)
    assert Fault.ISSUER.value in error.attempts[0]


def test_token_that_cannot_be_fetched_securely_ends_the_call_at_once(clock: FakeClock) -> None:
    link = make_link(clock, credentials=USER)
    script = asking(link, clock)
    script.invoke(Method.AUTHENTICATE, WRONG_CA)
    assert Fault.ISSUER.value in str(script.raised(errors.Unavailable))
    assert link.tokens.begin(), "the next one may try"


def test_who_hangs_up_is_asked_what_it_speaks(clock: FakeClock) -> None:
    link = make_link(clock)
    script = asking(link, clock)
    script.invoke(Method.RANGE, HANGS_UP)
    script.aside(Probe(0))
    script.sleep()
    link.speech.told(0, Fault.WANTS_TLS)
    script.sleep()
    assert Fault.WANTS_TLS.value in str(script.raised(errors.Unavailable))
    assert clock() == pytest.approx(START, abs=0.1)


def test_what_was_just_found_is_not_asked_again(clock: FakeClock) -> None:
    link = make_link(clock)
    link.speech.due(0, clock())
    link.speech.told(0, Fault.WANTS_PLAIN)
    script = asking(link, clock)
    script.invoke(Method.RANGE, HANGS_UP)
    assert Fault.WANTS_PLAIN.value in str(script.raised(errors.Unavailable))


def test_who_hangs_up_for_no_known_reason_is_down(clock: FakeClock) -> None:
    """A proxy whose server is down, say."""
    link = make_link(clock)
    script = asking(link, clock)
    script.invoke(Method.RANGE, HANGS_UP)
    script.aside(Probe(0))
    link.speech.told(0, None)
    script.sleep()
    script.sleep()
    script.invoke(Method.RANGE, ranged())
    assert isinstance(script.returned(), Answer)


def test_probe_that_finds_nothing_is_not_waited_for(clock: FakeClock) -> None:
    script = asking(make_link(clock), clock)
    script.invoke(Method.RANGE, HANGS_UP)
    script.aside(Probe(0))
    while isinstance(script.effect, Sleep):
        script.sleep()
    assert clock() == pytest.approx(START + timing.PROBE, abs=0.1)
    script.invoke(Method.RANGE, ranged())
    assert isinstance(script.returned(), Answer)


def test_enduring_call_does_not_stop_to_probe(clock: FakeClock) -> None:
    script = asking(make_link(clock), clock, enduring=True)
    script.invoke(Method.RANGE, HANGS_UP)
    script.sleep()
    script.invoke(Method.RANGE, ranged())
    assert isinstance(script.returned(), Answer)


# Names


def test_addresses_are_waited_for_at_the_first_use(clock: FakeClock) -> None:
    link = make_link(clock, hosts=["etcd0"])
    script = asking(link, clock)
    script.aside(LookUp())
    second = asking(link, clock)
    second.sleep()
    script.sleep()
    link.found("etcd0", ["10.0.0.1", "10.0.0.2"])
    link.names.ended()
    for waiting in (script, second):
        waiting.sleep()
        waiting.invoke(Method.RANGE, ranged())
        assert isinstance(waiting.returned(), Answer)


@pytest.mark.parametrize(("seconds", "waited"), [(5.0, timing.LOOK_UP), (0.1, 0.1)])
def test_addresses_are_not_waited_for_long(clock: FakeClock, seconds: float, waited: float) -> None:
    script = asking(make_link(clock, hosts=["etcd0"]), clock, seconds=seconds)
    script.aside(LookUp())
    while isinstance(script.effect, Sleep):
        script.sleep()
    assert clock() == pytest.approx(START + waited, abs=0.02)
    if seconds > waited:
        script.invoke(Method.RANGE, ranged())
        assert isinstance(script.returned(), Answer)
    else:
        script.raised(errors.Unavailable)


def test_names_are_looked_up_again_when_every_endpoint_has_failed(clock: FakeClock) -> None:
    link = make_link(clock, hosts=["etcd0"])
    link.names.due(clock() - 10)
    link.found("etcd0", ["10.0.0.1", "10.0.0.2"])
    link.names.ended()
    script = asking(link, clock)
    script.invoke(Method.RANGE, REFUSED_CONNECTION)
    script.invoke(Method.RANGE, REFUSED_CONNECTION)
    script.sleep()
    script.aside(LookUp())
    link.found("etcd0", ["10.0.0.3", "10.0.0.2"])
    script.invoke(Method.RANGE, ranged())
    assert endpoints(script) == [0, 1, 0]
    assert link.endpoints[0].target == "10.0.0.3:2379"


def test_attempt_begins_when_the_call_leaves(clock: FakeClock) -> None:
    """Hundreds of calls of a connection wait for their turn: that says nothing about etcd."""
    link = make_link(clock)
    script = asking(link, clock)
    effect = script.expect(Invoke)
    assert effect.sent_at == START
    clock.advance(3.0)
    effect.sent_at = clock()
    script.invoke(Method.RANGE, ranged(), took=0.002)
    answer = script.returned()
    assert isinstance(answer, Answer)
    assert answer.sent_at == START + 3.0
    assert link.latency == pytest.approx(0.002)


def test_time_held_up_by_other_calls_that_etcd_answers_does_not_count(clock: FakeClock) -> None:
    link = make_link(clock)
    link.gate.held_up = 100.0
    script = asking(link, clock, seconds=5.0)
    effect = script.expect(Invoke)
    clock.advance(8.0)
    link.gate.held_up += 7.0
    assert link.gate.left(effect.until) == 4.0
    effect.sent_at = clock()
    script.silent(Method.RANGE)
    script.invoke(Method.RANGE, ranged())
    assert isinstance(script.returned(), Answer)


def test_call_whose_turn_did_not_come_in_time_was_surely_not_carried_out(clock: FakeClock) -> None:
    link = make_link(clock)
    script = asking(link, clock, seconds=5.0, idempotent=False)
    clock.advance(5.0)
    script.invoke(Method.RANGE, NO_TURN, took=0.0)
    error = script.raised(errors.Unavailable)
    assert not error.maybe_applied
    assert not link.ring.suspected(0), "nobody has asked it"


def test_call_of_a_beat_says_so(clock: FakeClock) -> None:
    link = make_link(clock)
    assert not asking(link, clock).expect(Invoke).beat
    plan = ask(link, "read", Method.RANGE, REQUEST, deadline=clock() + 5.0, beat=True)
    assert Script(plan, clock).expect(Invoke).beat


def test_calls_show_no_secret(clock: FakeClock) -> None:
    link = make_link(clock, credentials=USER)
    script = asking(link, clock)
    assert "hunter2" not in repr(script.expect(Invoke))
    script.invoke(Method.AUTHENTICATE, authenticated("t-1"))
    assert "t-1" not in repr(script.expect(Invoke))
