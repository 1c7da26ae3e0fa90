"""Callbacks for something that happens once, or now and then."""

from __future__ import annotations

import threading
from collections.abc import Callable

Callback = Callable[[], None]


class Callbacks:
    """Whoever is to be told. Thread-safe; the lock is not held while they are called."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._callbacks: dict[object, Callback] = {}

    def add(self, callback: Callback) -> Callback:
        """Registers one; returns its removal."""
        mark = object()
        with self._lock:
            self._callbacks[mark] = callback
        return lambda: self._remove(mark)

    def call(self) -> None:
        """Calls each that was not called or removed yet, on this thread."""
        with self._lock:
            callbacks, self._callbacks = list(self._callbacks.values()), {}
        for callback in callbacks:
            callback()

    def tell(self) -> None:
        """Calls each that was not removed, on this thread, and again the next time."""
        with self._lock:
            callbacks = list(self._callbacks.values())
        for callback in callbacks:
            callback()

    def _remove(self, mark: object) -> None:
        with self._lock:
            self._callbacks.pop(mark, None)
