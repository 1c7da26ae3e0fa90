"""What the command exits with, and what is said of an error: what is wrong, and what to do next."""

from __future__ import annotations

import enum
import signal

from .. import errors


class Exit(enum.IntEnum):
    """The exit codes of ours; besides those of the command that ``run`` runs."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NO_LEADER = 3
    UNAVAILABLE = 69
    NOT_ELECTED = 75
    LOST = 76
    REFUSED = 77
    NOT_EXECUTABLE = 126
    NOT_FOUND = 127


TABLE = """\
exit codes:
  0      all went well
  1      it failed for another reason than those below
  2      the command line or a variable is wrong
  3      leader: nobody leads
  69     etcd cannot be reached
  75     run --wait: not elected in time
  76     run --once: leadership was lost before COMMAND was over
  77     etcd refuses: user, password or permission
  126    run: COMMAND cannot be executed
  127    run: COMMAND is not found
  128+n  ended by signal n (130 Ctrl-C, 141 a closed pipe, 143 SIGTERM)
Otherwise run exits with COMMAND's exit code, 128+n where signal n has ended it.
"""

_OPTIONS = {
    "TLS.ca": "--cacert",
    "TLS.cert": "--cert",
    "TLS.key": "--key",
    "tls, https://": "https://, --cacert",
    ": see user and password": "",
    "; see TLS.server_name": "",
    " (see TLS.server_name)": "",
}
"""What the library's texts call in Python's words."""


class Stopped(BaseException):
    """A signal has asked us to end.

    Attributes:
        number: The signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def by_signal(number: int) -> int:
    """The exit code of what a signal has ended, as a shell counts it."""
    return 128 + number


PIPE_CLOSED = by_signal(signal.SIGPIPE)


_ADVICE: tuple[tuple[type[Exception], Exit, str], ...] = (
    (errors.Unavailable, Exit.UNAVAILABLE, "check that etcd serves there, and --endpoints"),
    (
        errors.AuthenticationFailed,
        Exit.REFUSED,
        "check --user and --password (or ETCDCTL_USER, ETCDCTL_PASSWORD)",
    ),
    (
        errors.PermissionDenied,
        Exit.REFUSED,
        "see 'etcdctl role grant-permission'",
    ),
    (errors.ValueTooLarge, Exit.FAILED, "give a shorter --value"),
    (errors.SessionExpired, Exit.LOST, ""),
    (errors.NotLeader, Exit.LOST, ""),
    (errors.ElectionError, Exit.FAILED, ""),
    (Exception, Exit.FAILED, "--debug shows where"),
)
"""The first row that fits holds."""


def judged(error: Exception, name: str) -> tuple[int, str]:
    """The exit code and the one line for an error.

    Args:
        error: What was raised.
        name: The election.
    """
    code, advice = next(row[1:] for row in _ADVICE if isinstance(error, row[0]))
    text = str(error) or type(error).__name__
    if isinstance(error, (errors.ElectionError, ValueError, OSError)):
        for ours, theirs in _OPTIONS.items():
            text = text.replace(ours, theirs)
        text = text.replace("the election's name and a slash", f"'{name}/'")
    else:
        text = f"{type(error).__name__}: {text}"
    # A text that says what to see to needs no advice.
    return code, f"{text}; {advice}" if advice and "(see " not in text else text
