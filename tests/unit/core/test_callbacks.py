"""Who waits by a clock hears when that jumps."""

from __future__ import annotations

from etcd_election._core.callbacks import Callbacks


def test_everybody_is_woken_at_every_jump_until_removed() -> None:
    jumps, woken = Callbacks(), list[str]()
    remove = jumps.add(lambda: woken.append("first"))
    jumps.add(lambda: woken.append("second"))
    jumps.tell()
    remove()
    remove()
    jumps.tell()
    assert woken == ["first", "second", "second"]


def test_who_is_woken_may_stop_waiting() -> None:
    jumps, woken = Callbacks(), list[str]()

    def wake() -> None:
        woken.append("once")
        remove()

    remove = jumps.add(wake)
    jumps.tell()
    jumps.tell()
    assert woken == ["once"]
