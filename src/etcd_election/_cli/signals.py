"""What becomes of signals while ``run`` runs.

::

    waiting   INT TERM HUP QUIT    end us; the candidacy goes first
              TSTP                 stops us, and the lease may run out
              all others           nothing: there is no command to hear them
    leading   all                  for the command, and so passed on; after INT, TERM and QUIT there
                                   is no further campaign
              TSTP                 stops the command, then us; CONT goes on with both
    over      all                  nothing: what is left to do is short

A signal that was ignored when we were started stays so, as with ``nohup``.
"""

from __future__ import annotations

import contextlib
import enum
import os
import signal
from collections import deque
from types import FrameType, TracebackType

from .. import ElectionClient
from .exits import Stopped

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
PASSED_ON = (*ENDING, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGCONT)


class Phase(enum.Enum):
    """Whom a signal is for."""

    WAITING = "for us"
    LEADING = "for the command"
    OVER = "for nobody"


class Signals:
    """Takes signals while it is entered. Can be waited for with ``select``.

    Attributes:
        phase: Whom they are for now.
        stopped: The first one that asked for the end; None before.
    """

    def __init__(self, client: ElectionClient) -> None:
        self.phase = Phase.WAITING
        self.stopped: int | None = None
        self._client = client
        self._pending: deque[int] = deque()
        self._wake, self._waker = os.pipe()
        for end in (self._wake, self._waker):
            os.set_blocking(end, False)

    def fileno(self) -> int:
        """Readable after a signal for the command, and after ``wake``."""
        return self._wake

    def wake(self) -> None:
        """Has whoever waits look around. May be called on any thread."""
        with contextlib.suppress(OSError):  # a full pipe wakes, too
            os.write(self._waker, b"\0")

    def taken(self) -> list[int]:
        """The signals for the command that came since."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake, 4096)
        return [self._pending.popleft() for _ in range(len(self._pending))]

    def __enter__(self) -> Signals:
        for number in (*PASSED_ON, signal.SIGTSTP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # The handlers stay: what comes now finds us at our end.
        self.phase = Phase.OVER

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self.phase is Phase.LEADING:
            if number in ENDING and number != signal.SIGHUP:
                self.stopped = self.stopped or number
            self._pending.append(number)
            self.wake()
        elif self.phase is Phase.WAITING:
            self._for_us(number)

    def _for_us(self, number: int) -> None:
        if number == signal.SIGTSTP:
            os.kill(os.getpid(), signal.SIGSTOP)
        elif number in ENDING and self.stopped is None:
            self.stopped = number
            if not self._client.stop():
                raise Stopped(number)
