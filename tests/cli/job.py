"""A command for `run` that logs, by the clock that all processes share, that it is alive.

``python job.py LOG [stubborn] [child] [status=N]``: every line of LOG is written at once: the
token, who writes (``main`` or ``child``), the pid, what (``alive`` over and over, or the name of a
signal), and CLOCK_MONOTONIC. A stubborn one ignores TERM; a child is a process in the same group,
which is stubborn. TERM otherwise ends it with that status.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from types import FrameType


def main(path: str, *manners: str) -> None:
    log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    token = os.environ["ETCD_ELECTION_TOKEN"]
    who = "main"
    stubborn = "stubborn" in manners
    status = next((int(word[7:]) for word in manners if word.startswith("status=")), 0)

    def write(what: str) -> None:
        os.write(log, f"{token} {who} {os.getpid()} {what} {time.monotonic():.6f}\n".encode())

    def heard(number: int, _frame: FrameType | None) -> None:
        write(signal.Signals(number).name)
        if number == signal.SIGTERM and not stubborn:
            os._exit(status)

    if "child" in manners and not os.fork():
        who, stubborn = "child", True
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, heard)
    signal.signal(signal.SIGCONT, heard)
    pause = threading.Event()
    while True:
        write("alive")
        pause.wait(0.005)


if __name__ == "__main__":
    main(*sys.argv[1:])
