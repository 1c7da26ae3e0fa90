"""A process that is told in lines what to do, and answers each with a line of JSON.

Guaranteed: every wait has a bound; what it says on stderr is read all along (a full pipe would stop
it) and shown when it fails; it ends with its stdin, so also with whoever started it.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import IO, Any

from . import usage

START = 60.0
"""Seconds until it must have said that it is there."""
END = 10.0
"""Seconds that it may take to end."""


class Child:
    """One process; from construction on it runs, and has said that it is ready.

    Args:
        command: What to run.
        env: Further environment.
    """

    def __init__(self, command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        self._command = list(command)
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(env or {})},
        )
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._complaints: deque[str] = deque(maxlen=40)
        self._readers = [
            self._read(self._process.stdout, self._answers.put),
            self._read(self._process.stderr, self._complaints.append),
        ]
        try:
            self._answer("start", START)
        except BaseException:
            self.close()
            raise

    @classmethod
    def python(cls, module: str, *args: object, env: Mapping[str, str] | None = None) -> Child:
        """A module of ours, run by this interpreter."""
        return cls([sys.executable, "-m", module, *map(str, args)], env)

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def ask(self, order: str, timeout: float) -> Any:
        """Has something done and returns what comes of it.

        Raises:
            RuntimeError: It has ended, or does not answer in time; with what it said on stderr.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{order}\n")
            self._process.stdin.flush()
        except OSError as error:
            raise self._failed(order) from error
        return self._answer(order, timeout)

    def usage(self) -> usage.Usage:
        """What it takes at the moment."""
        return usage.of(self.pid)

    def close(self) -> None:
        """Ends it. Idempotent."""
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        try:
            self._process.wait(END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for reader in self._readers:
            reader.join(END)

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _answer(self, order: str, timeout: float) -> Any:
        try:
            line = self._answers.get(timeout=timeout)
        except queue.Empty:
            line = ""
        if not line:
            raise self._failed(order)
        return json.loads(line)

    def _failed(self, order: str) -> RuntimeError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)
        said = "".join(self._complaints)
        state = self._process.poll()
        return RuntimeError(f"{self._command} at {order!r}, status {state}:\n{said}")

    @staticmethod
    def _read(stream: IO[str] | None, heard: Any) -> threading.Thread:
        def run() -> None:
            assert stream is not None
            with stream:
                for line in stream:
                    heard(line)
            heard("")

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread
