"""The fault suite's checker: never two, and never without the key; red for each broken promise."""

from __future__ import annotations

from tests.faults.safety import find_overlaps

from .fault_story import Story, removed_at_20

OVERLAPS = "two believing at once"


def test_two_believing_at_once() -> None:
    story = Story.good()
    story.believe("w0.1", 10, 1.0, 20.5)
    assert OVERLAPS in story.red()
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


def test_a_holder_that_is_connected_again_has_a_beat_and_a_second() -> None:
    for until, red in ((22.5, False), (22.7, True)):
        story = removed_at_20(until)
        story.link(19.0, 0, "deaf")
        story.link(20.6, 0, "pass")
        assert ("belief without the key, removed while cut off" in story.red()) == red


def test_who_was_cut_off_before_the_removal_alone_has_no_longer() -> None:
    story = removed_at_20(22.1)
    story.link(18.0, 0, "deaf")
    story.link(19.9, 0, "pass")
    assert "belief without the key, removed while a link was cut" in story.red()


def test_a_removal_excuses_only_what_it_did() -> None:
    for answered, gone_at, red in (
        (None, 26.9, False),
        (None, 27.1, True),
        (20.1, 20.15, False),
        (20.1, 20.25, True),
    ):
        story = Story()
        story.believe("w0.1", 10, 1.0, gone_at + 0.05)
        story.removed(20.0, 10, answered=answered)
        story.delete(gone_at, 12, "w0.1")
        story.believe("w1.1", 11, gone_at + 0.01, 59.0)
        assert (OVERLAPS in story.red()) == red


def test_an_overlap_before_the_removal_is_not_excused_by_it() -> None:
    story = removed_at_20(20.05)
    story.believe("w1.1", 11, 19.5, 59.0)
    assert OVERLAPS in story.red()


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
    assert {OVERLAPS, "belief without the key"} <= set(story.red())


def woken(at: float, version: list[int], *, led: bool = True) -> Story:
    story = Story.good()
    story.nemesis[0]["version"] = version
    for t, state in ((15.0, "paused"), (at, "resumed")):
        facts = {"member": 0, "state": state, "leader": led}
        story.nemesis.append({"t": t, "what": "member"} | facts)
    story.believe("w0.1", 10, 1.0, 20.5)
    story.worker(20.5, "w0.1", "lost", token=10, reason="SESSION_EXPIRED")
    return story


def test_etcd_that_drops_leases_is_counted_apart_where_it_is_known_to() -> None:
    assert woken(19.9, [3, 5, 1]).red() == []
    assert OVERLAPS in woken(19.9, [3, 5, 13]).red()
    assert OVERLAPS in woken(19.9, [3, 4, 31]).red()


def test_etcd_drops_leases_only_when_a_raft_leader_wakes() -> None:
    assert OVERLAPS in woken(18.9, [3, 5, 1]).red()
    assert OVERLAPS in woken(19.9, [3, 5, 1], led=False).red()


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
