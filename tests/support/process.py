"""Processes that end with the one that started them, however that one ends.

Guaranteed on Linux; elsewhere they outlive a starter that was killed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

# The signal on the parent's end (PR_SET_PDEATHSIG, 1) survives exec, and the pid stays the same.
# A preexec_fn would do it without this detour, but runs Python code in a fork of a process that
# has threads. In the background of a script both signals are ignored, which is inherited.
LAUNCHER = """
import os, signal, sys
if sys.platform == "linux":
    import ctypes
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != int(sys.argv[1]):
        os._exit(1)
for number in (signal.SIGINT, signal.SIGQUIT):
    signal.signal(number, signal.SIG_DFL)
os.execv(sys.argv[2], sys.argv[2:])
"""

# The "parent" of that signal is the *thread* that started the process. This one lasts as long as
# the interpreter, so a test may start processes on a thread of its own.
_spawner = ThreadPoolExecutor(1, thread_name_prefix="test-spawner")


def spawn(
    command: Sequence[str],
    *,
    output: IO[bytes] | int,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
    errors: IO[bytes] | int | None = None,
) -> subprocess.Popen[bytes]:
    """Starts a process in a session of its own: a Ctrl-C at the terminal is for the tests alone.

    Args:
        command: Begins with the path of an executable.
        output: Where its stdout goes, and its stderr unless `errors` says where.
        cwd: Where it runs.
        env: Its whole environment; None: that of this process.
        stdin: `subprocess.PIPE` to talk to it.
        errors: Where its stderr goes.
    """
    launched = [sys.executable, "-I", "-S", "-c", LAUNCHER, str(os.getpid()), *command]
    return _spawner.submit(
        subprocess.Popen,
        launched,
        env=None if env is None else dict(env),
        cwd=cwd,
        stdin=stdin,
        stdout=output,
        stderr=output if errors is None else errors,
        start_new_session=True,
    ).result()
