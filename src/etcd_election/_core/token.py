"""The authentication token that all calls of a connection share.

States of a TokenSlot::

    EMPTY --begin()--> REFRESHING --renewed(token)--> FILLED
      ^                    |                             |
      +-----failed()-------+        refused(generation) -+--> EMPTY

One refresh serves any number of failing calls: a call that was refused with an older token than the
present one only has to be sent again.
"""

from __future__ import annotations

import threading


class TokenSlot:
    """Holds one token and who may fetch the next. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._token: str | None = None
        self._generation = 0
        self._refreshing = False

    def __repr__(self) -> str:
        return f"<TokenSlot generation={self._generation} filled={self._token is not None}>"

    def current(self) -> tuple[str | None, int]:
        """The token, None if there is none, and its generation."""
        with self._lock:
            return self._token, self._generation

    def refused(self, generation: int) -> bool:
        """Etcd refused the token of this generation; True if that was the present one."""
        with self._lock:
            if generation != self._generation or self._token is None:
                return False
            self._token = None
            return True

    def begin(self) -> bool:
        """True for the one caller who is to fetch a token now; others wait for it."""
        with self._lock:
            if self._refreshing or self._token is not None:
                return False
            self._refreshing = True
            return True

    def renewed(self, token: str) -> None:
        """The refresh brought a token."""
        with self._lock:
            self._token = token
            self._generation += 1
            self._refreshing = False

    def failed(self) -> None:
        """The refresh brought none; the next caller may try."""
        with self._lock:
            self._refreshing = False
