"""The command ``etcd-election``: from its arguments to its exit code.

Guaranteed: no traceback (but with ``--debug``) and no secret on the way out; a signal unwinds, so
that no lease and no process is left.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

from . import observing, options, reading, running
from .connecting import UsageError, chosen
from .exits import PIPE_CLOSED, Exit, Stopped, by_signal, judged
from .voice import LogLines, Loudness, OutputClosed, Voice, fill_gaps, keep_stderr, silence_stdout

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_TRUE = ("1", "t", "true")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command.

    Args:
        arguments: Those of the command line; None: this process's.

    Returns:
        The exit code.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    ours = given[: given.index("--")] if "--" in given else given
    voice = Voice(json_lines="--json" in ours, loudness=_loudness(ours))
    debug = "--debug" in ours or os.environ.get("ETCDCTL_DEBUG", "").lower() in _TRUE
    if sys.stdout is not None:
        # Names and values of others, in a terminal that may know ASCII only.
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    fill_gaps()
    if not debug and not {"GRPC_VERBOSITY", "GRPC_TRACE"} & set(os.environ):
        keep_stderr()
    try:
        _heed_signals()
        try:
            code = _carry_out(given, voice, debug=debug)
        except SystemExit:  # of argparse, after help or version
            code = Exit.OK
        if sys.stdout is not None:
            sys.stdout.flush()
    except Stopped as stopped:
        return by_signal(stopped.number)
    except (OutputClosed, BrokenPipeError):
        silence_stdout()
        return PIPE_CLOSED
    return code


def _loudness(ours: Sequence[str]) -> Loudness:
    if "--quiet" in ours:
        return Loudness.QUIET
    return Loudness.VERBOSE if "--verbose" in ours else Loudness.NORMAL


def _heed_signals() -> None:
    """The first one unwinds, a second one ends us where we are."""

    def stop(number: int, _frame: FrameType | None) -> NoReturn:
        for heeded in handled:
            signal.signal(heeded, signal.SIG_DFL)
        raise Stopped(number)

    handled = [number for number in _ENDING if signal.getsignal(number) is not signal.SIG_IGN]
    for number in handled:
        signal.signal(number, stop)


def _carry_out(given: Sequence[str], voice: Voice, *, debug: bool) -> int:
    name = ""
    try:
        chosen_options, command = options.parse(given)
        name = chosen_options.name
        _listen_to_log(voice, debug=debug)
        connection = chosen(chosen_options, os.environ)
        if chosen_options.command == "run":
            return running.run(
                connection,
                name,
                options.job(chosen_options, command),
                voice,
                once=chosen_options.once,
                wait=chosen_options.wait,
            )
        if chosen_options.command == "observe":
            return observing.observe(connection, name, voice)
        if chosen_options.command == "leader":
            return reading.leader(connection, name, voice)
        return reading.candidates(connection, name, voice)
    except UsageError as error:
        voice.error(str(error), exit=int(Exit.USAGE))
        return Exit.USAGE
    except (OutputClosed, BrokenPipeError):
        raise
    except Exception as error:  # noqa: BLE001 - the end of the line: people get words
        # What could not be written to a full disk would fail once more, at the very end.
        silence_stdout()
        if debug:
            traceback.print_exc()
        code, text = judged(error, name)
        voice.error(text, exit=int(code))
        return code


def _listen_to_log(voice: Voice, *, debug: bool) -> None:
    """What the library has to say is said by us, and nothing by Python's last resort."""
    logger = logging.getLogger("etcd_election")
    if debug:
        logging.basicConfig(level=logging.DEBUG)
        return
    logger.addHandler(LogLines(voice))
    logger.propagate = False
    logger.setLevel(logging.WARNING)
