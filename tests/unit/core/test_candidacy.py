"""What a waiting candidate makes of what it is told: no win too many, no wait in vain."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcd_election._core import timing
from etcd_election._core.candidacy import Action, Candidacy, Step
from etcd_election._core.effects import KeyGone, KeyPut, WatchBroken, WatchStands
from etcd_election._core.standing import Standing

from .support import START, kv, quick, seeded, steady

KEY = b"jobs/abc"
BEFORE = b"jobs/aaa"
TTL = 15.0
BEAT = TTL / 3

OWN = kv(KEY, 20, lease=0xABC)
FIRST = Standing(OWN, None, 30)
SECOND = Standing(OWN, kv(BEFORE, 10), 30)
ABSENT = Standing(None, None, 30)
ANOTHER_KEY = Standing(kv(KEY, 25, lease=0xABC), None, 30)


def candidacy(*, in_call: bool = True) -> Candidacy:
    return Candidacy(key=KEY, ttl=TTL, now=START, random=steady(), waits_in_call=in_call)


def waiting(standing: Standing = SECOND, *, in_call: bool = True) -> Candidacy:
    """A candidate that has read its place when it joined."""
    made = candidacy(in_call=in_call)
    made.read(standing, START)
    return made


def test_queue_is_read_once_the_campaign_does_not_answer_at_once() -> None:
    made = candidacy()
    assert made.next(START) == Step(Action.WAIT, START + timing.SETTLE)
    assert made.next(START + timing.SETTLE).action is Action.READ


def test_first_in_the_queue_is_no_win_while_the_campaign_call_is_open() -> None:
    """When the connection of an open Campaign ends, the server deletes the key."""
    made = waiting(FIRST)
    assert made.call_open
    step = made.next(START)
    assert step == Step(Action.WAIT, START + timing.TURN_WITHIN)
    made.call_ended(START + 0.1)
    assert made.next(START + 0.1).action is Action.WON


def test_first_in_the_queue_without_a_call_is_a_win() -> None:
    made = waiting(FIRST, in_call=False)
    assert not made.call_open
    assert made.next(START).action is Action.WON


def test_ok_of_the_campaign_is_only_a_reason_to_read() -> None:
    made = waiting(SECOND)
    made.call_ended(START + 1)
    assert made.next(START + 1).action is Action.READ


def test_phantom_win_whose_key_is_gone_is_no_win() -> None:
    made = waiting(SECOND)
    made.call_ended(START + 1)
    made.read(ABSENT, START + 1)
    assert made.next(START + 1).action is Action.REJOIN


def test_phantom_win_before_any_read_is_no_win() -> None:
    made = candidacy()
    made.call_ended(START + 0.001)
    assert made.next(START + 0.001).action is Action.READ
    made.read(ABSENT, START + 0.001)
    assert made.next(START + 0.001).action is Action.REJOIN


def test_second_waiter_told_ok_goes_on_waiting() -> None:
    made = waiting(SECOND)
    made.call_ended(START + 1)
    made.read(SECOND, START + 1)
    assert made.next(START + 1) == Step(Action.WAIT, START + 1 + BEAT)


def test_call_that_broke_off_is_left_whatever_the_queue_says() -> None:
    made = waiting(FIRST)
    made.call_broke()
    assert not made.call_open
    assert made.next(START).action is Action.REJOIN
    made.read(FIRST, START)
    assert made.next(START).action is Action.REJOIN


def overdue() -> tuple[Candidacy, float]:
    """First in the queue for so long that the Campaign should have been answered."""
    made = waiting(SECOND)
    made.read(FIRST, START + 1)
    at = START + 1 + timing.TURN_WITHIN
    assert made.next(at - 0.001) == Step(Action.WAIT, at)
    assert made.next(at) == Step(Action.READ)
    return made, at


def test_hanging_election_service_is_left_after_a_quarter_of_a_second() -> None:
    made, at = overdue()
    made.read(FIRST, at + 0.01)
    left_at = at + 0.01 + timing.SETTLE
    assert made.next(at + 0.01) == Step(Action.WAIT, left_at), "its answer may be on its way"
    assert made.next(left_at).action is Action.HANGS


def test_campaign_answered_while_the_process_stood_still_does_not_hang() -> None:
    made, at = overdue()
    made.read(FIRST, at + 2)
    made.call_ended(at + 2)
    assert made.next(at + 2).action is Action.WON


def test_read_that_failed_says_nothing_of_the_election_service() -> None:
    made, at = overdue()
    made.unread(at + 3)
    assert made.next(at + 3) == Step(Action.WAIT, at + 3 + timing.TURN_WITHIN)


def test_being_first_counts_from_the_first_read_that_showed_it() -> None:
    made = waiting(FIRST)
    made.read(FIRST, START + 0.2)
    assert made.next(START + timing.TURN_WITHIN).action is Action.READ


def test_falling_back_in_the_queue_starts_that_time_anew() -> None:
    """An administrator's key may come before ours."""
    made = waiting(FIRST)
    made.read(SECOND, START + 0.1)
    made.read(FIRST, START + 0.2)
    assert made.next(START + 0.3).action is Action.WAIT


def test_campaign_without_a_key_after_a_second_is_stuck() -> None:
    made = candidacy()
    now, reads = START, 0
    while (step := made.next(now)).action is not Action.STUCK:
        if step.action is Action.READ:
            reads += 1
            made.read(ABSENT, now)
        else:
            assert step.action is Action.WAIT
            now = step.until
    assert now == START + timing.KEY_WITHIN
    assert 2 < reads < 8, "reads ever less often"


def test_no_key_yet_is_not_a_vanished_one_while_the_campaign_runs() -> None:
    made = candidacy()
    made.read(ABSENT, START + timing.SETTLE)
    assert made.next(START + timing.SETTLE).action is Action.WAIT
    assert made.standing is None
    assert made.watched() == frozenset()


def test_vanished_key_means_to_join_again_even_under_an_open_call() -> None:
    made = waiting(SECOND)
    made.read(ABSENT, START + 1)
    assert made.next(START + 1).action is Action.REJOIN


def test_same_key_put_anew_is_not_ours() -> None:
    """Another create revision: the place in the queue, and the token, are another's."""
    made = waiting(SECOND)
    assert made.token == 20
    made.read(ANOTHER_KEY, START + 1)
    assert made.next(START + 1).action is Action.REJOIN


def test_queue_is_read_at_every_beat_though_nothing_was_told() -> None:
    made = waiting(SECOND)
    assert made.next(START) == Step(Action.WAIT, START + BEAT)
    assert made.next(START + BEAT).action is Action.READ


def test_read_that_failed_is_repeated_at_the_next_beat_not_at_once() -> None:
    made = waiting(SECOND)
    made.unread(START + BEAT)
    assert made.next(START + BEAT) == Step(Action.WAIT, START + 2 * BEAT)


def test_before_anything_was_read_a_failed_read_is_no_reason_to_leave() -> None:
    made = candidacy()
    made.call_ended(START)
    made.unread(START)
    assert made.next(START) == Step(Action.WAIT, START + BEAT)


def test_doubt_reads_again_before_a_win() -> None:
    made = waiting(FIRST, in_call=False)
    made.doubt(START)
    assert made.next(START).action is Action.READ


def test_own_key_and_the_one_before_it_are_what_matters() -> None:
    assert waiting(SECOND).watched() == {KEY, BEFORE}
    assert waiting(FIRST).watched() == {KEY}
    assert waiting(ABSENT, in_call=False).watched() == frozenset()


@pytest.mark.parametrize(
    "fact",
    [
        KeyGone(BEFORE, 40),
        KeyGone(KEY, 40),
        WatchStands(BEFORE, 31),
        WatchStands(KEY, 31),
        KeyPut(kv(KEY, 20, 40, lease=1)),
    ],
    ids=["the one before left", "own key gone", "watch late", "own watch late", "taken over"],
)
def test_what_may_change_the_place_is_a_reason_to_read(fact: object) -> None:
    made = waiting(SECOND)
    made.told(fact, START + 1)  # type: ignore[arg-type]
    assert made.next(START + 1).action is Action.READ


@pytest.mark.parametrize(
    "fact",
    [
        KeyGone(b"jobs/fff", 40),
        KeyPut(kv(KEY, 20, 40, value=b"new", lease=0xABC)),
        KeyPut(kv(BEFORE, 10, 40)),
        WatchBroken(KEY),
        WatchStands(b"jobs/fff", 40),
        WatchStands(KEY, 30),
        KeyGone(KEY, 15),
    ],
    ids=[
        "others",
        "own value",
        "value before",
        "broken",
        "others stand",
        "read since",
        "an earlier key",
    ],
)
def test_what_changes_nothing_costs_no_read(fact: object) -> None:
    made = waiting(SECOND)
    made.told(fact, START + 1)  # type: ignore[arg-type]
    assert made.next(START + 1).action is Action.WAIT


def test_own_key_told_before_it_was_read_is_a_reason_to_read() -> None:
    made = candidacy()
    made.told(KeyPut(OWN), START)
    assert made.next(START).action is Action.READ


_facts = st.lists(
    st.one_of(
        st.tuples(st.just("ended"), st.just(None)),
        st.tuples(st.just("broke"), st.just(None)),
        st.tuples(st.just("unread"), st.just(None)),
        st.tuples(st.just("advance"), st.floats(0, 3)),
        st.tuples(st.just("read"), st.sampled_from([FIRST, SECOND, ABSENT, ANOTHER_KEY])),
        st.tuples(
            st.just("told"),
            st.sampled_from([KeyGone(KEY, 40), KeyGone(BEFORE, 40), WatchStands(KEY, 50)]),
        ),
    ),
    max_size=20,
)


@quick
@given(_facts, st.booleans())
def test_wins_only_what_the_last_read_showed_and_no_open_call_can_take_away(  # noqa: PLR0912 - one branch for each kind of fact
    facts: list[tuple[str, object]], in_call: bool
) -> None:
    made = Candidacy(key=KEY, ttl=TTL, now=START, random=seeded(), waits_in_call=in_call)
    now, shown, open_, broken, token = START, None, in_call, False, None
    for kind, fact in facts:
        match fact:
            case float(seconds):
                now += seconds
            case Standing():
                made.read(fact, now)
                shown = fact
                if made.token is not None:
                    token = token or made.token
            case None if kind == "ended":
                made.call_ended(now)
                open_ = False
            case None if kind == "broke":
                made.call_broke()
                open_, broken = False, True
            case None:
                made.unread(now)
            case _:
                made.told(fact, now)  # type: ignore[arg-type]
        step = made.next(now)
        if step.action is Action.WON:
            assert shown is not None
            assert shown.first
            assert shown.own is not None
            assert shown.own.create_revision == token
            assert not open_
            assert not broken
        if step.action is Action.WAIT:
            assert now < step.until <= now + TTL / 3
        if step.action in (Action.HANGS, Action.STUCK):
            assert open_
        if broken:
            assert step.action is Action.REJOIN
        if step.action is Action.REJOIN:
            break
