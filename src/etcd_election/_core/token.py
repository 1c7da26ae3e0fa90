"""The authentication token that all calls of a connection share.

States of a TokenSlot::

    EMPTY --begin()--> REFRESHING --renewed(token)-------------> FILLED, with that token
      ^                    |      --renewed(None)--------------> FILLED, with none: authentication
      |                    |                                     is switched off
      +-----failed()-------+      FILLED --refused(generation)-> EMPTY

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
        self._filled = False
        self._generation = 0
        self._refreshing = False

    def __repr__(self) -> str:
        return f"<TokenSlot generation={self._generation} filled={self._filled}>"

    @property
    def filled(self) -> bool:
        """True if calls can be sent, with the token or without one."""
        return self._filled

    @property
    def again(self) -> bool:
        """True once there was a token, or the word that none is needed, before the present one."""
        return self._generation > 1

    def current(self) -> tuple[str | None, int]:
        """The token, None if there is none, and its generation."""
        with self._lock:
            return self._token, self._generation

    def refused(self, generation: int) -> bool:
        """Etcd refused the token of this generation; True if that was the present one."""
        with self._lock:
            if generation != self._generation or not self._filled:
                return False
            self._token, self._filled = None, False
            return True

    def begin(self) -> bool:
        """True for the one caller who is to fetch a token now; others wait for it."""
        with self._lock:
            if self._refreshing or self._filled:
                return False
            self._refreshing = True
            return True

    def renewed(self, token: str | None) -> None:
        """The refresh brought a token, or None: etcd asks for none."""
        with self._lock:
            self._token, self._filled = token, True
            self._generation += 1
            self._refreshing = False

    def failed(self) -> None:
        """The refresh brought none; the next caller may try."""
        with self._lock:
            self._refreshing = False
