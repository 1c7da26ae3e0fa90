"""The command line: what may be written, and what ``--help`` says."""

from __future__ import annotations

import argparse
import socket
from collections.abc import Sequence
from typing import Any, NoReturn

from .. import __version__
from .connecting import UsageError
from .durations import seconds
from .exits import TABLE
from .supervising import Job
from .voice import PROGRAM

MIN_TTL = 2
DEFAULT_TTL = 15

_DESCRIPTION = "Leader election on etcd: who leads, and a command that runs only there."

_VARIABLES = """\
variables, as for etcdctl (options win):
  ETCDCTL_ENDPOINTS  ETCDCTL_CACERT  ETCDCTL_CERT  ETCDCTL_KEY  ETCDCTL_USER
  ETCDCTL_PASSWORD  ETCDCTL_COMMAND_TIMEOUT (here --timeout)  ETCDCTL_DEBUG
Others can see the arguments of a process: give a password in ETCDCTL_PASSWORD.
"""

_EXAMPLES = """\
examples:
  etcd-election run my-service -- ./worker --port 8080
  etcd-election run nightly --once --wait 0 --hold 1m -- ./backup.sh
  etcd-election leader my-service --json
  etcd-election observe my-service
"""

_RUN = """\
COMMAND is started whenever this host is elected, and ended when leadership is
lost. In its environment are
  ETCD_ELECTION_TOKEN   the fencing token. It grows from leader to leader: let
                        whatever stores the work keep the largest one that it
                        has seen, and refuse smaller ones
  ETCD_ELECTION_NAME    the election
  ETCD_ELECTION_VALUE   what others read of this leader

When COMMAND ends by itself, leadership is given up and run exits with its exit
code, with and without --once. Until then run campaigns again after every loss,
and outlasts every outage of etcd.

When the lease is not renewed, COMMAND and its whole process group get SIGTERM
as soon as less than the grace is left of the lease, and SIGKILL before it can
have run out. When leadership is known to be lost (its key was deleted, say),
SIGTERM comes at once, and SIGKILL after the grace or before the lease can have
run out, whichever is first. No other campaign begins before the whole group is
gone. A small guardian process, COMMAND's parent, sees to that also when run is
stopped. When run is killed (kill -9), the guardian kills the group at once.

Out of scope: children that leave COMMAND's process group (setsid, daemons,
shells with job control) are not found and not ended, and those that become
another user (sudo) can be ended only by root. When COMMAND's own process ends,
what is left of its group is ended, too.

Signals: INT, TERM, HUP, QUIT, USR1, USR2, WINCH and CONT are passed on to the
group. TSTP (Ctrl-Z) stops the group and run: the lease is not renewed
meanwhile, and if it runs out COMMAND is killed. After INT, TERM or QUIT there
is no further campaign. While run waits to be elected, INT, TERM, HUP and QUIT
end it, and the others mean nothing. COMMAND has no controlling terminal; stdin,
stdout, stderr and all other open files are passed on to it.

What run itself says goes to stderr: errors and losses, with --verbose more,
with --quiet errors only. With --json these are objects with an "event":
elected, started, lost, ended, not-elected, log, error.
"""

_RUN_EXAMPLES = """\
examples:
  a service, of which one copy is to run:
    etcd-election run my-service --ttl 10 -- ./worker --port 8080
  a job in the crontab of every host, for one of them to run. With --hold, a
  host whose clock is a little behind still finds somebody leading:
    etcd-election run nightly --once --wait 0 --hold 1m --quiet -- ./backup.sh
  the token, in a shell:
    etcd-election run my-service -- \\
      sh -c 'exec ./worker --fencing-token "$ETCD_ELECTION_TOKEN"'
"""

_JSON = """\
One JSON object a line, with --json or where stdout is no terminal:
  state         "leader", "candidate", or "vacant" (nobody leads: name only)
  name          the election
  value         what the candidate wants others to read; as text
  value_base64  the same, every byte
  key           the candidate's key in etcd; key_base64: every byte
  lease         in hexadecimal, as etcdctl shows it
  token         the fencing token: the create revision of the key
  mod_revision  of the last change to the key
  revision      of etcd, when this was read
"""

_OBSERVE = f"""\
Says who leads now, and again whenever that changes or nobody leads, until
Ctrl-C. Once it has begun, outages of etcd are outlasted. A leader of a
millisecond may be skipped, the latest never.

{_JSON}  time          when it was seen here
"""

_OBSERVE_EXAMPLES = """\
examples:
  etcd-election observe my-service
  etcd-election observe my-service --json | jq -r .value
"""

_LEADER_EXAMPLES = """\
examples:
  etcd-election leader my-service
  etcd-election leader my-service --json | jq -r .value
"""

_CANDIDATES_EXAMPLES = """\
examples:
  etcd-election candidates my-service
  etcd-election candidates my-service --json | jq -r .value
"""


class _Parser(argparse.ArgumentParser):
    """One whose errors are one line, said by whoever says all others."""

    def error(self, message: str) -> NoReturn:
        """Raises."""
        raise UsageError(f"{message}; see {self.prog} --help")

    def print_help(self, file: Any = None) -> None:
        """Prints, and raises if that fails."""
        # argparse's own would not mind that nobody reads it.
        print(self.format_help(), end="", file=file)


def _duration(text: str) -> float:
    try:
        return seconds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _ttl(text: str) -> int:
    ttl = _duration(text)
    if ttl != int(ttl) or ttl < MIN_TTL:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of seconds, at least 2")
    return int(ttl)


def _common() -> _Parser:
    """What every command takes, before its name as well as behind it."""
    common = _Parser(add_help=False, argument_default=argparse.SUPPRESS, allow_abbrev=False)
    group = common.add_argument_group("connection, as for etcdctl")
    group.add_argument(
        "--endpoints",
        metavar="LIST",
        help="host:port, with commas between (default: 127.0.0.1:2379)",
    )
    group.add_argument("--cacert", metavar="FILE", help="whom to trust: speaks TLS")
    group.add_argument("--cert", metavar="FILE", help="this client's certificate")
    group.add_argument("--key", metavar="FILE", help="the key of that certificate")
    group.add_argument(
        "--user", metavar="NAME[:PASSWORD]", help="asks for a password that is missing"
    )
    group.add_argument("--password", help="then --user is the name alone")
    group.add_argument(
        "--timeout",
        "--command-timeout",
        metavar="TIME",
        help="for one operation, such as 5, 500ms, 1m30s (default: 5s)",
    )
    group.add_argument(
        "--via",
        choices=("service", "kv"),
        help="the Election service of etcd (the default), or transactions and watches, from some "
        "30 candidates and observers a member on",
    )
    group = common.add_argument_group("output")
    group.add_argument("--json", action="store_true", help="one JSON object a line")
    group.add_argument(
        "--debug",
        action="store_true",
        help="log everything, as plain text, and show where errors come from",
    )
    return common


def parser() -> argparse.ArgumentParser:
    """The whole command line but what comes after ``--``."""
    common = _common()
    top = _Parser(
        prog=PROGRAM,
        description=_DESCRIPTION,
        epilog="\n".join([_EXAMPLES, _VARIABLES, TABLE]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[common],
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = top.add_subparsers(
        title="commands", dest="command", metavar="COMMAND", required=True
    )

    def add(name: str, summary: str, text: str, examples: str, usage: str) -> _Parser:
        made: _Parser = commands.add_parser(
            name,
            help=summary,
            usage=f"{PROGRAM} {name} {usage}",
            description=f"{summary[0].upper()}{summary[1:]}.\n\n{text}",
            epilog="\n".join([examples, _VARIABLES, TABLE]),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            parents=[common],
            allow_abbrev=False,
        )
        made.add_argument("name", metavar="NAME", help="the election")
        return made

    _add_run_options(
        add(
            "run",
            "runs a command only while this host leads",
            _RUN,
            _RUN_EXAMPLES,
            "NAME [options] -- COMMAND...",
        )
    )
    add("observe", "shows who leads, live", _OBSERVE, _OBSERVE_EXAMPLES, "NAME [options]")
    add("leader", "shows who leads now", _JSON, _LEADER_EXAMPLES, "NAME [options]")
    add(
        "candidates",
        "shows who stands in the queue, the leader first",
        _JSON,
        _CANDIDATES_EXAMPLES,
        "NAME [options]",
    )
    return top


def _add_run_options(run: argparse.ArgumentParser) -> None:
    group = run.add_argument_group("campaign and command")
    group.add_argument("--value", help="what others read of the leader (default: this host's name)")
    group.add_argument(
        "--ttl",
        type=_ttl,
        default=DEFAULT_TTL,
        metavar="SECONDS",
        help="so long after a leader's death another one may lead (default: %(default)s; at least "
        "2)",
    )
    group.add_argument(
        "--grace",
        type=_duration,
        metavar="TIME",
        help="from SIGTERM to SIGKILL (default: a third of the ttl; at most half of it)",
    )
    group.add_argument(
        "--once", action="store_true", help="when leadership is lost, end; do not campaign again"
    )
    group.add_argument(
        "--wait",
        type=_duration,
        metavar="TIME",
        help="with --once: be elected in this time or not at all; 0: at once (default: for ever)",
    )
    group.add_argument(
        "--hold",
        type=_duration,
        default=0.0,
        metavar="TIME",
        help="lead at least so long, however soon COMMAND is over (default: 0)",
    )
    loudness = group.add_mutually_exclusive_group()
    loudness.add_argument("--verbose", action="store_true", help="say what happens, too")
    loudness.add_argument("--quiet", action="store_true", help="say nothing but errors")


def parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, tuple[str, ...]]:
    """Reads the command line: the options, and the words after ``--``.

    Raises:
        UsageError: It is wrong.
        SystemExit: Help or the version were asked for, and given.
    """
    given = list(arguments)
    cut = given.index("--") if "--" in given else len(given)
    options, beyond = parser().parse_known_args(given[:cut])
    words = tuple(given[cut + 1 :])
    wrong = f"unrecognized arguments: {' '.join(beyond)}; " if beyond else ""
    if options.command == "run" and not words:
        usage = f"{PROGRAM} run NAME -- COMMAND..."
        raise UsageError(f"{wrong}give the command to run after --: {usage}")
    if options.command != "run" and words:
        wrong = f"{options.command} takes nothing after --; "
    if wrong:
        raise UsageError(f"{wrong}see {PROGRAM} {options.command} --help")
    return options, words


def job(options: argparse.Namespace, command: tuple[str, ...]) -> Job:
    """What ``run`` is to run.

    Raises:
        UsageError: The options do not fit together.
    """
    ttl: int = options.ttl
    grace = ttl / 3 if options.grace is None else options.grace
    if grace > ttl / 2:
        raise UsageError(f"--grace must be at most half of the ttl ({ttl / 2:g} s), not {grace:g}")
    if options.wait is not None and not options.once:
        raise UsageError("--wait goes with --once: without it, run waits for ever")
    value = socket.gethostname() if options.value is None else options.value
    return Job(command=command, value=value, ttl=ttl, grace=grace, hold=options.hold)
