"""What every process of a fault run writes down: one JSON object a line, appended at once.

Guaranteed: what was written before a SIGKILL or SIGSTOP is there. `t` is CLOCK_MONOTONIC, which all
processes of a machine share. Writing takes no lock, so a thread may be stopped or forked in it.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

Line = dict[str, Any]


class Log:
    """Appends to a file. Thread-safe."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def write(self, what: str, *, t: float | None = None, **facts: object) -> None:
        """Writes one line; `t` is now unless given."""
        line = {"t": time.monotonic() if t is None else t, "what": what, **facts}
        os.write(self._fd, json.dumps(line).encode() + b"\n")

    def close(self) -> None:
        """Nothing is written any more."""
        os.close(self._fd)


def read(path: str | Path) -> list[Line]:
    """All complete lines of a log, in the order of their writing."""
    lines = Path(path).read_bytes().split(b"\n")
    return [json.loads(line) for line in lines[:-1]]
