"""The tests' blocking face of asyncio objects: one that forgives proves nothing."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import threading
import weakref
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from etcd_election import LostReason, NotLeader
from tests.support.fronts import Front, asyncio_front, make_front
from tests.support.loop_thread import LoopThread, new_event_loop
from tests.support.waiting import eventually


class Etcd:
    async def __aenter__(self) -> Etcd:
        return self

    async def __aexit__(self, *error: object) -> None:
        self.left_with = error


class ElectionClient:
    """Does what it is told to, on a loop."""

    def __init__(self, etcd: object, name: str) -> None:
        self.etcd = etcd
        self.name = name
        self.leadership = Leadership(self)
        self.cancelled = threading.Event()
        self.begun = threading.Event()
        self.tasks: list[asyncio.Task[None]] = []

    async def campaign(self, value: str, *, timeout: float | None = None) -> Leadership:
        asyncio.get_running_loop()
        self.value, self.timeout = value, timeout
        return self.leadership

    def cancel_campaign(self) -> bool:
        asyncio.get_running_loop()
        return True

    async def wait(self) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            self.cancelled.set()

    async def fail(self) -> None:
        raise NotLeader(leadership=self.leadership, reason=LostReason.RESIGNED)

    def observe(self) -> Observer:
        return Observer()

    def leave_task(self) -> None:
        self.tasks.append(asyncio.create_task(self.wait()))

    def end_tasks(self) -> None:
        for task in self.tasks:
            task.cancel()

    def leave_coroutine(self) -> None:
        cycle: list[object] = [self.wait()]
        cycle.append(cycle)  # lives until the collector comes

    def leave_error(self) -> None:
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)

    async def leave_failed_task(self) -> None:
        task = asyncio.create_task(self.fail())
        await asyncio.wait([task])


class Leadership:
    held = False

    def __init__(self, client: ElectionClient) -> None:
        self.client = client

    def __bool__(self) -> bool:
        return self.held

    def on_lost(self, callback: Callable[[Leadership], object]) -> Callable[[], object]:
        asyncio.get_running_loop()
        callback(self)
        return asyncio.get_running_loop


class Observer:
    def __init__(self) -> None:
        self.states = iter([1, None])
        self.closed = False

    def __aiter__(self) -> Observer:
        return self

    async def __anext__(self) -> int | None:
        try:
            return next(self.states)
        except StopIteration:
            raise StopAsyncIteration from None

    def close(self) -> asyncio.Future[None]:
        self.closed = True
        return asyncio.ensure_future(asyncio.sleep(0))


TOYS = SimpleNamespace(
    Etcd=Etcd, ElectionClient=ElectionClient, Leadership=Leadership, Observer=Observer
)


@pytest.fixture
def front() -> Iterator[Front]:
    made = asyncio_front(TOYS)
    yield made
    made.close()
    made.close()


@pytest.fixture
def client(front: Front) -> Any:
    return front.ElectionClient(front.Etcd(), "name")


def test_constructors_get_what_is_wrapped_and_run_on_the_calling_thread(front: Front) -> None:
    etcd: Any = front.Etcd()
    client: Any = front.ElectionClient(etcd, name="n")
    assert client.etcd is etcd
    assert client.name == "n"
    assert "Etcd object" in repr(etcd)
    with pytest.raises(TypeError, match="argument"):
        front.ElectionClient(etcd, "n", None)  # type: ignore[misc]


def test_calls_run_on_the_loop_and_the_same_object_has_the_same_wrapper(client: Any) -> None:
    leadership = client.campaign("v", timeout=1)
    assert client.leadership is leadership
    assert (client.value, client.timeout) == ("v", 1)
    assert client.campaign("w") is leadership
    assert leadership.client is client
    assert client.cancel_campaign() is True
    assert not leadership
    assert leadership.held is False


def test_a_wrapper_that_is_dropped_lets_go_of_its_object(front: Front) -> None:
    client: Any = front.ElectionClient(None, "n")  # type: ignore[arg-type]
    gone = weakref.ref(client._raw)
    client.campaign("v")
    with contextlib.suppress(NotLeader):
        client.fail()
    del client
    gc.collect()
    assert gone() is None


def test_errors_and_callbacks_carry_wrappers(client: Any) -> None:
    with pytest.raises(NotLeader) as caught:
        client.fail()
    assert caught.value.leadership is client.leadership
    told: list[object] = []
    remove = client.leadership.on_lost(told.append)
    assert told == [client.leadership]
    assert remove() is not None, "it ran on the loop"


def test_with_and_for_stand_for_their_asynchronous_kin(front: Front, client: Any) -> None:
    etcd: Any = front.Etcd()
    with etcd as entered:
        assert entered is etcd
    assert etcd.left_with == (None, None, None)
    with pytest.raises(KeyError), etcd:
        raise KeyError("body")
    assert etcd.left_with[0] is KeyError
    observer = client.observe()
    assert list(observer) == [1, None]
    observer.close()
    assert observer.closed


def test_ctrl_c_cancels_and_comes_through_when_that_has_ended(front: Front, client: Any) -> None:
    def interrupt() -> None:
        client.begun.wait(10)
        os.kill(os.getpid(), signal.SIGINT)

    interrupting = threading.Thread(target=interrupt)
    interrupting.start()
    with pytest.raises(KeyboardInterrupt):
        client.wait()
    assert client.cancelled.is_set()
    interrupting.join()
    front.check(0.0)


def test_a_signal_handler_may_call_too(client: Any) -> None:
    answers: list[object] = []
    asking = threading.Lock()

    def handler(*_: object) -> None:
        # The next signal may come sooner than the answer.
        if asking.acquire(blocking=False):
            answers.append(client.cancel_campaign())
            asking.release()

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
        eventually(lambda: len(answers) > 20 or client.campaign("v") is None, interval=0.0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert set(answers) == {True}


def test_a_blocking_call_in_a_callback_is_refused(client: Any) -> None:
    errors: list[BaseException] = []

    def callback(_: object) -> None:
        assert client.cancel_campaign()
        try:
            client.campaign("v")
        except RuntimeError as error:
            errors.append(error)

    client.leadership.on_lost(callback)
    assert "own thread" in str(errors[0])


def test_nothing_left_is_no_complaint(front: Front, client: Any) -> None:
    front.check(0.0)
    client.campaign("v")
    front.check(0.0)
    make_front("blocking").check(0.0)


def test_a_task_that_is_left_is_found(front: Front, client: Any) -> None:
    client.leave_task()
    with pytest.raises(AssertionError, match=r"tasks left.*ElectionClient\.wait"):
        front.check(0.05)
    client.end_tasks()
    front.check(5.0)


def test_an_error_that_reached_the_loop_is_found_and_told_once(front: Front, client: Any) -> None:
    client.leave_error()
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        front.check(0.0)
    front.check(0.0)


def test_a_failed_task_that_nobody_asked_is_found(front: Front, client: Any) -> None:
    client.leave_failed_task()
    with pytest.raises(AssertionError, match="never retrieved"):
        front.check(0.0)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_coroutine_that_nobody_awaited_is_found(front: Front, client: Any) -> None:
    client.leave_coroutine()
    with pytest.warns(RuntimeWarning, match="never awaited"):
        front.check(0.0)


def test_a_forked_child_has_a_loop_of_its_own(front: Front, client: Any) -> None:
    client.campaign("v")
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writing, str(client.cancel_campaign()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        assert pipe.read() == "True"
    os.waitpid(pid, 0)
    assert client.cancel_campaign() is True


def test_the_kind_of_loop_is_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVENT_LOOP", raising=False)
    new_event_loop().close()
    monkeypatch.setenv("EVENT_LOOP", "none")
    with pytest.raises(ValueError, match="EVENT_LOOP"):
        new_event_loop()
    thread = LoopThread()
    with pytest.raises(ValueError, match="EVENT_LOOP"):
        thread.call(asyncio.sleep, 0)
    thread.check(0.0)
    thread.close()


def test_there_is_no_other_front() -> None:
    with pytest.raises(ValueError, match="trio"):
        make_front("trio")
