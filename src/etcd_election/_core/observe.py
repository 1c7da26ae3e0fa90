"""The order of an election's leaders, over any number of sources and reconnects.

Leaders follow each other by the create revision of their keys, and one leader's values by their
modification revision; that order needs no clock and no source that is complete. A vacancy read at
revision R comes after every leader whose key is older than R, before every one that is younger.

Not guaranteed: that every leader is seen. One of a millisecond may be missed; the latest never is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from ..types import Leader

_Position = tuple[int, float]
_FIRST: _Position = (-1, 0.0)
_NOTHING = object()


class ObserveCursor:
    """Keeps the newest state of one election. Thread-safe.

    Args:
        on_news: Called after every change, on the thread that brought it.
    """

    def __init__(self, on_news: Callable[[], None] = lambda: None) -> None:
        self._on_news = on_news
        self._lock = threading.Lock()
        self._generation = 0
        self._position = _FIRST
        self._state: Leader | None = None
        self._number = 0

    def leader(self, leader: Leader, generation: int = 0) -> bool:
        """A source saw this leader; True if that is news."""
        return self._advance((leader.token, leader.mod_revision), leader, generation)

    def vacancy(self, revision: int, generation: int = 0) -> bool:
        """A source saw at ``revision`` that nobody leads; True if that is news."""
        return self._advance((revision, float("inf")), None, generation)

    def _advance(self, position: _Position, state: Leader | None, generation: int) -> bool:
        """``generation`` counts clusters: in another one, revisions begin anew."""
        with self._lock:
            if generation < self._generation:
                return False
            if generation > self._generation:
                self._generation, self._position = generation, _FIRST
            elif state is None and self._state and position[0] <= self._state.mod_revision:
                return False
            if position <= self._position:
                return False
            self._position = position
            if self._number and state == self._state:
                # Still vacant, or a restored backup shows what was seen before.
                return False
            self._state = state
            self._number += 1
        self._on_news()
        return True

    def latest(self) -> tuple[int, Leader | None]:
        """The number of the newest state (0: none was seen yet) and the state, None if vacant."""
        with self._lock:
            return self._number, self._state


class ObserveReader:
    """One observer's place: what of a cursor's states is still news to it. Not thread-safe."""

    def __init__(self, cursor: ObserveCursor, *, vacancies: bool) -> None:
        self._cursor = cursor
        self._vacancies = vacancies
        self._seen = 0
        self._last: object = _NOTHING
        self._news: object = _NOTHING

    def ready(self) -> bool:
        """Looks at the newest state; True if there is one to take."""
        number, state = self._cursor.latest()
        if number > self._seen:
            self._seen = number
            if state is not None or self._vacancies:
                self._news = _NOTHING if state == self._last else state
        return self._news is not _NOTHING

    def take(self) -> Leader | None:
        """The newest state, which from now on is none; only after ``ready`` was True."""
        self._last, self._news = self._news, _NOTHING
        taken: Leader | None = self._last  # type: ignore[assignment]
        return taken
