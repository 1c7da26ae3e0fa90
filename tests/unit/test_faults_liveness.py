"""The fault suite's checker: never long without a leader; red for each broken promise."""

from __future__ import annotations

from tests.faults.spans import Spans

from .fault_story import END, Story, removed_at_20


def killed_at_20(gone_at: float, next_from: float, renewed: float = 19.9) -> Story:
    story = Story()
    story.believe("w0.1", 10, 1.0, 20.0, renewed=renewed)
    story.process(20.0, "w0.1", "killed")
    story.delete(gone_at, 12, "w0.1")
    story.believe("w1.1", 11, next_from, 59.0)
    return story


FAIL_OVER = "fail-over after kill -9"


def test_a_fail_over_that_never_comes_is_late() -> None:
    story = killed_at_20(23.4, 23.5)
    story.workers["w1.1"] = [
        line for line in story.workers["w1.1"] if line["what"] not in ("term", "belief")
    ]
    assert FAIL_OVER in story.red()


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


EMPTY = "nobody in the queue at a stretch"


def test_a_queue_that_stays_empty_although_somebody_could_join() -> None:
    for back_at, red in ((21.9, False), (22.1, True)):
        story = Story()
        story.believe("w0.1", 10, 1.0, 20.0)
        for revision, name in ((12, "w0.1"), (13, "w1.1")):
            story.delete(20.0, revision, name)
        story.put(back_at, 14, "w1.1")
        story.believe("w1.1", 14, back_at, 59.0)
        assert (EMPTY in story.red()) == red


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
    for back_at, red in ((33.6, False), (33.8, True)):
        story = Story.handed_over()
        story.worker(30.0, "w0.1", "campaign")
        story.put(back_at, 20, "w0.1")
        assert story.red() == ([STUCK] if red else [])


def test_a_candidate_that_fails_over_and_over_is_stuck() -> None:
    story = Story.handed_over()
    for second in range(30, 37):
        story.worker(float(second), "w0.1", "campaign")
        facts = {"module": "etcd_election.errors", "kind": "Unavailable", "text": ""}
        story.worker(second + 0.9, "w0.1", "error", during="campaign", **facts)
    story.put(37.0, 20, "w0.1")
    assert story.red() == [STUCK]


LOST = "leases lost with a way open"


def test_a_lease_that_was_lost_though_it_could_be_renewed() -> None:
    # For half of the ttl at its end no moment is to be cut off.
    for healed_at, red in ((18.49, True), (18.51, False)):
        story = Story.good()
        story.worker(20.0, "w0.1", "lost", token=10, reason="SESSION_EXPIRED")
        story.link(18.0, 0, "deaf")
        story.link(healed_at, 0, "pass")
        assert story.red() == ([LOST] if red else [])


def test_a_lease_that_somebody_revoked_was_not_lost_for_want_of_a_renewal() -> None:
    story = removed_at_20(20.05)
    story.worker(20.05, "w0.1", "lost", token=10, reason="SESSION_EXPIRED")
    assert story.red() == []
