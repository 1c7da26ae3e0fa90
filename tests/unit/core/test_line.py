"""The turns of a client's calls, and the one verdict on a campaign: won or cancelled."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import count

import pytest

from etcd_election._core.effects import Fact, Word
from etcd_election._core.line import Line, Ticket

from .support import interrupt


class Call:
    """A call with a place in the line, and what its plan was told."""

    def __init__(self, *, campaigns: bool = True) -> None:
        self.told: list[Fact] = []
        self.ticket = Ticket(campaigns=campaigns, tell=self.told.append)


@pytest.fixture
def line() -> Line:
    return Line()


def entered(line: Line, *calls: Call) -> None:
    for call in calls:
        assert line.enter(call.ticket)


def test_win_cannot_be_cancelled_any_more() -> None:
    call = Call()
    assert call.ticket.win()
    assert not call.ticket.cancel()
    assert call.told == [], "its plan has nothing to stop"
    assert call.ticket.win()


def test_cancelled_campaign_is_told_and_cannot_be_won() -> None:
    call = Call()
    assert call.ticket.cancel()
    assert call.told == [Word.CANCELLED]
    assert not call.ticket.win()
    assert call.ticket.cancel(), "whoever cancels once more hears the same"


@pytest.mark.parametrize("work", [Ticket.win, Ticket.cancel])
def test_verdict_is_one_whenever_a_signal_handler_asks_for_the_other(
    work: Callable[[Ticket], bool],
) -> None:
    handler = Ticket.cancel if work is Ticket.win else Ticket.win
    verdicts: set[tuple[bool, ...]] = set()
    for at in count(1):
        ticket = Call().ticket
        said: list[bool] = []
        handled: list[bool] = []
        if not interrupt(
            lambda: said.append(work(ticket)),  # noqa: B023 - called in this round
            lambda: handled.append(handler(ticket)),  # noqa: B023
            at=at,
        ):
            break
        assert (said, handled) in (([True], [False]), ([False], [True])), f"at step {at}"
        verdicts.add((*said, *handled))
    assert verdicts == {(True, False), (False, True)}, "early and late"


def test_two_threads_that_race_get_one_verdict() -> None:
    rounds = 300
    tickets = [Call().ticket for _ in range(rounds)]
    barrier = threading.Barrier(2)
    said: dict[str, list[bool]] = {"won": [], "cancelled": []}

    def race(verdict: str, work: Callable[[Ticket], bool]) -> None:
        for ticket in tickets:
            barrier.wait()
            said[verdict].append(work(ticket))

    racers = [
        threading.Thread(target=race, args=("won", Ticket.win)),
        threading.Thread(target=race, args=("cancelled", Ticket.cancel)),
    ]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert len(said["won"]) == rounds
    assert said["won"] == [not cancelled for cancelled in said["cancelled"]]


def test_calls_have_their_turns_in_the_order_they_came(line: Line) -> None:
    first, second, third = Call(), Call(), Call()
    entered(line, first, second, third)
    assert line.tickets() == (first.ticket, second.ticket, third.ticket)
    assert (first.told, second.told, third.told) == ([Word.TURN], [], [])
    line.leave(first.ticket)
    assert (second.told, third.told) == ([Word.TURN], [])
    line.leave(second.ticket)
    assert third.told == [Word.TURN]
    line.leave(third.ticket)
    assert line.tickets() == ()


def test_turn_is_told_once_though_others_give_up_their_places(line: Line) -> None:
    first, second, third = Call(), Call(), Call()
    entered(line, first, second, third)
    line.leave(second.ticket)
    assert (first.told, third.told) == ([Word.TURN], [])
    line.leave(first.ticket)
    assert third.told == [Word.TURN]


def test_call_that_never_entered_takes_nobodys_turn(line: Line) -> None:
    first, second = Call(), Call()
    entered(line, first, second)
    line.leave(Call().ticket)
    line.leave(Call().ticket)
    assert line.tickets() == (first.ticket, second.ticket)
    assert (first.told, second.told) == ([Word.TURN], [])


def test_line_left_by_all_gives_the_next_one_its_turn(line: Line) -> None:
    first, later = Call(), Call()
    entered(line, first)
    line.leave(first.ticket)
    entered(line, later)
    assert later.told == [Word.TURN]


def test_campaigning_while_a_campaign_has_or_awaits_its_turn(line: Line) -> None:
    resigning, campaigning = Call(campaigns=False), Call()
    assert not line.campaigning()
    entered(line, resigning)
    assert not line.campaigning()
    entered(line, campaigning)
    assert line.campaigning()
    line.leave(resigning.ticket)
    assert line.campaigning()
    line.leave(campaigning.ticket)
    assert not line.campaigning()


def test_closed_line_sends_all_away_and_lets_nobody_in(line: Line) -> None:
    first, second, late = Call(), Call(campaigns=False), Call()
    entered(line, first, second)
    line.close()
    assert first.told == [Word.TURN, Word.CLOSED]
    assert second.told == [Word.CLOSED]
    assert not line.enter(late.ticket)
    line.leave(late.ticket)
    assert late.told == []
    assert line.tickets() == (first.ticket, second.ticket)


def test_closing_waits_for_the_last_call_to_leave(line: Line) -> None:
    told: list[str] = []
    first, second = Call(), Call()
    entered(line, first, second)
    line.close()
    line.when_empty(lambda: told.append("empty"))
    line.leave(first.ticket)
    assert told == []
    line.leave(second.ticket)
    assert told == ["empty"]
    line.leave(second.ticket)
    assert told == ["empty"]


def test_who_closes_a_line_that_is_empty_waits_for_nobody(line: Line) -> None:
    told: list[str] = []
    line.close()
    line.when_empty(lambda: told.append("empty"))
    assert told == ["empty"]


def test_open_line_that_is_empty_for_now_is_not_over(line: Line) -> None:
    told: list[str] = []
    call = Call()
    line.when_empty(lambda: told.append("empty"))
    entered(line, call)
    line.leave(call.ticket)
    assert told == []
    entered(line, call)
    line.close()
    assert told == []
    line.leave(call.ticket)
    assert told == ["empty"]


def test_who_waits_for_the_end_hears_of_it_when_an_empty_line_is_closed(line: Line) -> None:
    told: list[str] = []
    line.when_empty(lambda: told.append("empty"))
    line.close()
    assert told == ["empty"]
