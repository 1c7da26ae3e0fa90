"""The thread that serves all plans of a blocking connection."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator
from typing import Any

import pytest

from etcd_election._core.effects import Invoke, Reply
from etcd_election._core.method import Method
from etcd_election._core.timing import system_clock
from etcd_election._sync.engine import Engine, Task
from etcd_election.pb import rpc_pb2

from .core.support import FakeClock, make_link

DOUBLE = Invoke(0, Method.RANGE, rpc_pb2.RangeRequest(), 0.03, (), beside=1)
ANSWER = rpc_pb2.RangeResponse()


class Exhausted:
    """As a wire: the first endpoint is silent for a moment, and no second call can be made."""

    def __init__(self) -> None:
        self.failed = threading.Event()
        self.first: Callable[[Reply], None] = lambda _: None

    def start(self, effect: Invoke, done: Callable[[Reply], None]) -> Callable[[], None]:
        if effect.spare:
            self.failed.set()
            raise RuntimeError("can't start new thread")
        self.first = done
        return lambda: None


def test_call_that_cannot_be_made_does_not_end_the_thread_that_renews_all_leases(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def plan() -> Generator[Any, Any, None]:
        heard.append((yield DOUBLE))

    heard: list[object] = []
    link = make_link(FakeClock(), endpoints=2)
    link.clock = system_clock
    wire: Any = Exhausted()
    watcher: Any = None
    engine = Engine(link, wire, watcher, at_end=lambda: None)
    with caplog.at_level(logging.ERROR):
        task: Task = engine.start(plan())
        assert wire.failed.wait(15)
        wire.first(ANSWER)
        assert task.done.wait(15)
    engine.stop()
    assert heard == [ANSWER]
    assert "a step in the background failed" in caplog.text
