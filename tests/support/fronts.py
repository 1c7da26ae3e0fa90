"""Both front-ends behind one blocking face, so that one text can test them.

The blocking front-end is itself. For the asyncio one, every object of the library has one wrapper
at a time: the same object gives the same wrapper, and a wrapper that is dropped lets go of its
object. A method runs on the event loop of a `LoopThread`, and is waited for if it is to be awaited;
attributes are read where they are asked for. `with` and `for` stand for `async with` and `async
for`. Wrappers are what errors carry as `leadership` and what callbacks get; callbacks run where the
library calls them, on the loop.

Constructors are called by the calling thread, outside the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, cast

import etcd_election
from etcd_election import ElectionClient, ElectionError, Etcd

from .loop_thread import LoopThread

NAMES = ("blocking", "asyncio")


@dataclass(frozen=True)
class Front:
    """One front-end.

    Attributes:
        name: One of `NAMES`.
        Etcd, ElectionClient: To be called as the library's blocking classes.
        check: Fails if something is left on the event loop; takes the seconds that may be waited.
        close: Ends the event loop, if there is one.
    """

    name: str
    Etcd: type[Etcd]
    ElectionClient: type[ElectionClient]
    check: Callable[[float], None] = lambda _: None
    close: Callable[[], None] = lambda: None


def make_front(name: str) -> Front:
    """The front-end of that name."""
    if name == "blocking":
        return Front(name, etcd_election.Etcd, etcd_election.ElectionClient)
    if name == "asyncio":
        return asyncio_front(importlib.import_module("etcd_election.aio"))
    raise ValueError(name)


def asyncio_front(classes: Any, thread: LoopThread | None = None) -> Front:
    """The blocking face of asyncio classes, over one loop.

    Args:
        classes: The module `etcd_election.aio`, or what has its four classes.
        thread: Where the loop runs; None: its own.
    """
    face = _Face(classes, thread or LoopThread())
    return Front(
        "asyncio",
        cast("type[Etcd]", face.constructor(classes.Etcd)),
        cast("type[ElectionClient]", face.constructor(classes.ElectionClient)),
        check=face.thread.check,
        close=face.thread.close,
    )


class _Face:
    """Turns objects into wrappers, and back."""

    def __init__(self, classes: Any, thread: LoopThread) -> None:
        self.thread = thread
        self._kinds: tuple[tuple[Any, type[_Wrapper]], ...] = (
            (classes.Etcd, _Wrapper),
            (classes.ElectionClient, _WrappedClient),
            (classes.Leadership, _WrappedLeadership),
            (classes.Observer, _WrappedObserver),
            (contextlib.AbstractAsyncContextManager, _Wrapper),
        )
        # An id cannot be that of another object while there is a wrapper: that keeps its object.
        self._wrappers: weakref.WeakValueDictionary[int, _Wrapper] = weakref.WeakValueDictionary()

    def constructor(self, kind: Callable[..., Any]) -> Callable[..., Any]:
        def construct(*args: Any, **named: Any) -> Any:
            return self.wrap(kind(*map(self.unwrap, args), **self._unwrapped(named)))

        return construct

    def wrap(self, value: Any) -> Any:
        for kind, wrapper in self._kinds:
            if isinstance(value, kind):
                known = self._wrappers.get(id(value))
                if known is None:
                    # Two threads that come at the same time agree on one.
                    known = self._wrappers.setdefault(id(value), wrapper(self, value))
                return known
        return self.blocking(value) if _is_function(value) else value

    def unwrap(self, value: Any) -> Any:
        if isinstance(value, _Wrapper):
            return value._raw
        return self._callback(value) if _is_function(value) else value

    def blocking(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, to be called on the loop by any other thread."""

        def call(*args: Any, **named: Any) -> Any:
            try:
                result = self.thread.call(
                    function, *map(self.unwrap, args), **self._unwrapped(named)
                )
            except ElectionError as error:
                self._wrap_leadership(error)
                raise
            return self.wrap(result)

        return call

    def work(self, lead: Callable[..., Any]) -> Callable[..., Any]:
        """The work of a leader, on a thread of its own; cancelled, it ends in its own time."""

        async def work(leadership: Any) -> Any:
            loop = asyncio.get_running_loop()
            running = loop.run_in_executor(None, lead, self.wrap(leadership))
            while not running.done():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait([running])
            try:
                return running.result()
            except ElectionError as error:
                self._unwrap_leadership(error)
                raise

        return work

    def _callback(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args: function(*map(self.wrap, args))

    def _unwrapped(self, named: dict[str, Any]) -> dict[str, Any]:
        return {name: self.unwrap(value) for name, value in named.items()}

    def _unwrap_leadership(self, error: Any) -> None:
        if getattr(error, "leadership", None) is not None:
            error.leadership = self.unwrap(error.leadership)

    def _wrap_leadership(self, error: Any) -> None:
        if getattr(error, "leadership", None) is not None:
            error.leadership = self.wrap(error.leadership)


def _is_function(value: Any) -> bool:
    return callable(value) and not isinstance(value, type)


class _Wrapper:
    """An object of the library; all that is not said here is as there."""

    def __init__(self, face: _Face, raw: Any) -> None:
        self._face = face
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        return self._face.wrap(getattr(self._raw, name))

    def __repr__(self) -> str:
        return repr(self._raw)

    def __enter__(self) -> Any:
        return self._face.blocking(self._raw.__aenter__)()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> Any:
        return self._face.blocking(self._raw.__aexit__)(kind, error, trace)


class _WrappedClient(_Wrapper):
    def run(self, lead: Any, *args: Any, **named: Any) -> Any:
        work = self._face.work(lead) if callable(lead) else lead
        return self._face.blocking(partial(self._raw.run, work))(*args, **named)


class _WrappedLeadership(_Wrapper):
    def __bool__(self) -> bool:
        return bool(self._raw)


class _WrappedObserver(_Wrapper):
    def __iter__(self) -> Any:
        # So that a class that cannot be iterated is not believed to be.
        return self._face.wrap(self._raw.__aiter__())

    def __next__(self) -> Any:
        try:
            return self._face.blocking(self._raw.__anext__)()
        except StopAsyncIteration:
            raise StopIteration from None
