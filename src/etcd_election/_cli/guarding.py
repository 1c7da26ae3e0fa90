"""Our side of the guardian: starts it, tells it what to do, and takes its word.

Guaranteed: when ``Over`` was said, nobody of the command's group is left.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from . import guardian

_SAME = 0.001
"""Deadlines so near to each other are one that was computed twice, in seconds."""
_END_WITHIN = 5.0
"""Seconds for the guardian to end when nothing is left to guard."""


class GuardianGone(Exception):
    """The guardian has ended, which nobody asked it to."""


@dataclass(frozen=True)
class Started:
    """The command runs; ``pid`` is its first process and the number of its group."""

    pid: int


@dataclass(frozen=True)
class Unstartable:
    """The command could not be started: ``errno`` says why."""

    errno: int


@dataclass(frozen=True)
class Over:
    """The command is over, its whole group is gone.

    Attributes:
        status: Of its first process, 128 + n where signal n ended it.
        told: True if it had been told to end; False if it ended by itself.
    """

    status: int
    told: bool


Word = Started | Unstartable | Over


class Guard:
    """A guardian, and the command that it guards. Not thread-safe.

    A context manager; at its end the guardian ends, and whatever it still guards is killed.
    """

    def __init__(self) -> None:
        self._channel, theirs = socket.socketpair()
        with theirs:
            theirs.set_inheritable(True)
            # What we were given beyond stdin, stdout and stderr is for the command, too.
            self._process = subprocess.Popen(  # noqa: S603 - a file of ours
                [sys.executable, "-I", "-S", str(Path(guardian.__file__)), str(theirs.fileno())],
                close_fds=False,
                stderr=sys.stderr,  # which need not be number 2 any more
                start_new_session=True,
            )
        self._said = b""
        self._group: int | None = None
        self._deadline = 0.0
        self._stood_in = False

    def fileno(self) -> int:
        """For ``select``: readable when there is a word to take."""
        return self._channel.fileno()

    def start(
        self,
        command: Sequence[str],
        environment: Mapping[bytes, bytes],
        *,
        deadline: float,
        grace: float,
    ) -> None:
        """Has a command run.

        Args:
            command: Program and arguments.
            environment: All of its environment.
            deadline: The lease's local deadline, by ``guardian.clock``.
            grace: Seconds between TERM and KILL.
        """
        words = [os.fsencode(word) for word in command]
        words += [name + b"=" + value for name, value in environment.items()]
        load = b"".join(word + b"\0" for word in words)
        self._deadline = deadline
        self._stood_in = False
        self._tell(f"R {deadline!r} {grace!r} {len(command)} {len(load)}", load)

    def renewed(self, deadline: float) -> None:
        """The lease lasts until then."""
        if deadline > self._deadline + _SAME:
            self._deadline = deadline
            self._tell(f"D {deadline!r}")

    def end(self) -> None:
        """Leadership is lost: the command has a grace to end in, and no more than the lease."""
        self._tell("E")

    def pass_on(self, number: int) -> None:
        """Signals the command's group."""
        self._tell(f"S {int(number)}")

    def words(self) -> list[Word]:
        """What the guardian says; waits if it has not said anything.

        Raises:
            GuardianGone: It is no more; the group has been killed.
        """
        try:
            said = self._channel.recv(4096)
        except OSError:
            said = b""
        if not said:
            self._bereaved()
        *lines, self._said = (self._said + said).split(b"\n")
        return [self._word(line.decode("ascii").split(" ")) for line in lines]

    def backstop(self) -> None:
        """Kills the group where the guardian should have, and stands still instead."""
        if self._group is not None and guardian.clock() > self._deadline - guardian.AHEAD / 2:
            self._stood_in = True
            self._kill()

    def close(self) -> None:
        """Kills what is still guarded, and ends the guardian. Idempotent."""
        self._channel.close()
        try:
            self._process.wait(_END_WITHIN)
        except subprocess.TimeoutExpired:
            self._kill()
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Guard:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _word(self, facts: list[str]) -> Word:
        word, *numbers = facts
        if word == "P":
            self._group = int(numbers[0])
            return Started(self._group)
        self._group = None
        if word == "F":
            return Unstartable(int(numbers[0]))
        # What we have killed has not ended by itself, as the guardian must think.
        return Over(int(numbers[0]), numbers[1] == "1" or self._stood_in)

    def _tell(self, line: str, load: bytes = b"") -> None:
        # That nobody listens is found out when its word is taken.
        with contextlib.suppress(OSError):
            self._channel.sendall(line.encode("ascii") + b"\n" + load)

    def _kill(self) -> bool:
        """Kills the group; False if nobody is left."""
        if self._group is None:
            return False
        try:
            os.killpg(self._group, signal.SIGKILL)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    def _bereaved(self) -> None:
        """The guardian is gone: does its last duty, up to the deadline."""
        while self._kill() and guardian.clock() < self._deadline:
            select.select([], [], [], guardian.POLL)
        raise GuardianGone("the guardian process has ended; the command was killed with it")
