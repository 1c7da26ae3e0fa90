"""What the command says: results on stdout, one line of text or JSON each; all else on stderr.

Every line is flushed. A stdout that nobody reads any more is told to the caller; a stderr is not.
No secret is ever passed here.
"""

from __future__ import annotations

import contextlib
import enum
import json
import logging
import os
import select
import sys
from typing import Any

PROGRAM = "etcd-election"


class OutputClosed(Exception):
    """Nobody reads what we write."""


class Loudness(enum.IntEnum):
    """What is said on stderr."""

    QUIET = 0
    """Errors of use, and what went wrong with etcd."""
    NORMAL = 1
    """Also what somebody who looks after the service should know."""
    VERBOSE = 2


class Voice:
    """Says things.

    Args:
        json_lines: Everything as one JSON object a line.
        loudness: What is said on stderr.
    """

    def __init__(self, *, json_lines: bool, loudness: Loudness = Loudness.NORMAL) -> None:
        self.json_lines = json_lines
        self._loudness = loudness

    def result(self, text: str, facts: dict[str, Any]) -> None:
        """A line on stdout: text on a terminal (unless it is empty), JSON elsewhere.

        Raises:
            OutputClosed: Nobody reads it.
            OSError: It cannot be written.
        """
        if sys.stdout is None:
            raise OutputClosed
        line = json.dumps(facts) if self.json_lines or not sys.stdout.isatty() else text
        if not line:
            return
        try:
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
        except BrokenPipeError:
            raise OutputClosed from None

    def error(self, text: str, **facts: Any) -> None:
        """Why it does not go on."""
        self._say(text, {"event": "error", "message": text, **facts})

    def warn(self, text: str, event: str, **facts: Any) -> None:
        """What somebody who looks after it should know."""
        if self._loudness >= Loudness.NORMAL:
            self._say(text, {"event": event, **facts})

    def note(self, text: str, event: str, **facts: Any) -> None:
        """What happens; in JSON it is told without being asked for."""
        loud = self._loudness
        if loud >= Loudness.VERBOSE or (self.json_lines and loud >= Loudness.NORMAL):
            self._say(text, {"event": event, **facts})

    def _say(self, text: str, facts: dict[str, Any]) -> None:
        line = json.dumps(facts) if self.json_lines else f"{PROGRAM}: {' '.join(text.split())}"
        with contextlib.suppress(OSError, ValueError):
            if sys.stderr is not None:
                sys.stderr.write(f"{line}\n")
                sys.stderr.flush()


class LogLines(logging.Handler):
    """What the library logs, said by us."""

    def __init__(self, voice: Voice) -> None:
        super().__init__()
        self._voice = voice

    def emit(self, record: logging.LogRecord) -> None:
        """Says one record."""
        self._voice.warn(record.getMessage(), "log", message=record.getMessage())


def reader_left() -> bool:
    """Whether stdout is a pipe whose reader has gone."""
    if sys.stdout is None:
        return True
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def fill_gaps() -> None:
    """Has stdin, stdout and stderr be something.

    A connection could take the number of one that is closed, and be written to as such.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def keep_stderr() -> None:
    """Keeps stderr for what Python says.

    gRPC's C code logs there what it thinks of a handshake, in lines that its Python part cannot
    switch off once it is loaded. What is wrong is said by us, in words.
    """
    if sys.stderr is None:
        return
    with contextlib.suppress(OSError, ValueError):
        kept = os.dup(sys.stderr.fileno())
        sys.stderr = open(kept, "w", errors="backslashreplace", closefd=False)  # noqa: SIM115
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)


def silence_stdout() -> None:
    """Has the interpreter's last flush go nowhere: it would complain of a closed pipe."""
    with contextlib.suppress(OSError, ValueError):
        if sys.stdout is not None:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)
