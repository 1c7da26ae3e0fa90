"""A term of ``run``: the command runs while this host leads.

Guaranteed: when ``lead`` returns, nobody of the command's process group is left; the command got
TERM when less than the grace was left of the lease, or when leadership was known to be lost, and
KILL before the lease's local deadline. The guardian sees to that, which is told the deadline here.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from dataclasses import dataclass

from .. import ElectionClient, ElectionError, Leadership
from . import guardian
from .exits import Exit
from .guarding import Guard, Over, Started, Unstartable, Word
from .signals import ENDING, Phase, Signals
from .voice import Voice

_LOOKS = 20
"""So many times in a ttl is looked whether the lease was renewed."""
_LONGEST = 0.5
"""And at least so often, in seconds."""
_RESIGN_WITHIN = 1.0
"""Seconds for giving up a leadership whose lease etcd does not renew."""


@dataclass(frozen=True)
class Job:
    """What is to be run, and how.

    Attributes:
        command: Program and arguments.
        value: What others read of the leader.
        ttl: The lease's, in seconds.
        grace: Seconds between TERM and KILL.
        hold: Seconds to lead at least, however soon the command is over.
    """

    command: tuple[str, ...]
    value: str
    ttl: int
    grace: float
    hold: float = 0.0


class Supervisor:
    """Runs a job in one term after the other.

    Attributes:
        led: Whether there was a term.
        status: What the command has ended with by itself; None before.
    """

    def __init__(
        self, client: ElectionClient, job: Job, guard: Guard, signals: Signals, voice: Voice
    ) -> None:
        self.led = False
        self.status: int | None = None
        self._client = client
        self._job = job
        self._guard = guard
        self._signals = signals
        self._voice = voice
        self._hold_until = 0.0
        self._lost_said = False
        self._beat = min(_LONGEST, job.ttl / _LOOKS)

    def lead(self, leadership: Leadership) -> None:
        """One term. Called by the client's ``run`` or in its ``lead`` block."""
        self._hold_until = time.monotonic() + self._job.hold
        self.led = True
        remove = leadership.on_lost(lambda _: self._signals.wake())
        try:
            if self._has_room(leadership):
                self._run(leadership)
        except BaseException:
            # Whatever it is: leadership is given up next, and nobody may run then.
            self._guard.close()
            raise
        finally:
            remove()
        if self.status is not None or self._signals.stopped is not None:
            self._signals.phase = Phase.OVER
            self._client.stop()
        else:
            self._signals.phase = Phase.WAITING

    def _has_room(self, leadership: Leadership) -> bool:
        """Waits until there is more time than the grace, or there is no point in it."""
        self._voice.note(
            f"leads {self._name} with token {leadership.token}",
            "elected",
            name=leadership.name.decode("utf-8", "replace"),
            token=leadership.token,
            lease=f"{leadership.lease_id:x}",
        )
        while self._signals.stopped is None and leadership.held:
            if leadership.remaining > self._job.grace + guardian.AHEAD:
                # In this order: before it, a signal stops us, and after it, it is passed on.
                self._signals.phase = Phase.LEADING
                return self._signals.stopped is None
            self._pause()
        return False

    def _run(self, leadership: Leadership) -> None:
        """From the start of the command to the end of the last one of its group."""
        environment = {
            **os.environb,
            b"ETCD_ELECTION_TOKEN": b"%d" % leadership.token,
            b"ETCD_ELECTION_NAME": leadership.name,
            b"ETCD_ELECTION_VALUE": leadership.value,
        }
        self._guard.start(
            self._job.command,
            environment,
            deadline=_deadline(leadership),
            grace=self._job.grace,
        )
        self._lost_said = False
        while True:
            if self._wait():
                for word in self._guard.words():
                    if self._is_over(word, leadership):
                        return
            for number in self._signals.taken():
                self._pass_on(number)
            self._keep_told(leadership)
            self._guard.backstop()

    def _wait(self) -> bool:
        """Until there is something to look at; True if the guardian has something to say."""
        said = self._guard.fileno()
        ready, _, _ = select.select([said, self._signals.fileno()], [], [], self._beat)
        return said in ready

    def _pause(self) -> list[int]:
        """The same, while there is no command to guard: the signals that came meanwhile."""
        select.select([self._signals.fileno()], [], [], self._beat)
        return self._signals.taken()

    def _keep_told(self, leadership: Leadership) -> None:
        """Tells the guardian how long the lease lasts, or that leadership is lost."""
        deadline = _deadline(leadership)
        lost = leadership.lost
        if lost is None:
            self._guard.renewed(deadline)
            short = deadline - guardian.clock() <= self._job.grace
        else:
            self._guard.end()
            short = True
        if short:
            self._say_lost(leadership)

    def _say_lost(self, leadership: Leadership) -> None:
        """Says once in a term why the command is told to end."""
        if self._lost_said:
            return
        self._lost_said = True
        lost = leadership.lost
        why = "the lease is not renewed" if lost is None else lost.value
        self._voice.warn(
            f"leadership of {self._name} is lost ({why}): the command is told to end",
            "lost",
            reason=why,
        )

    def _pass_on(self, number: int) -> None:
        if number == signal.SIGTSTP:
            self._guard.pass_on(signal.SIGSTOP)
            os.kill(os.getpid(), signal.SIGSTOP)
        else:
            self._guard.pass_on(number)

    def _is_over(self, word: Word, leadership: Leadership) -> bool:
        """Takes the guardian's word; True if the command is over."""
        if isinstance(word, Started):
            self._voice.note(f"the command runs, with pid {word.pid}", "started", pid=word.pid)
            return False
        if isinstance(word, Unstartable):
            program = self._job.command[0]
            self._voice.error(f"cannot run {program!r}: {os.strerror(word.errno)}")
            self.status = Exit.NOT_EXECUTABLE
            return True
        self._settle(word, leadership)
        return True

    def _settle(self, over: Over, leadership: Leadership) -> None:
        if over.told:
            # The guardian looks at the clock by itself, and may be first.
            self._say_lost(leadership)
        self._voice.note(
            f"the command has ended with {over.status}", "ended", status=over.status, told=over.told
        )
        if not over.told:
            self.status = over.status
            self._hold(leadership)
            return
        while leadership.held:
            if leadership.remaining > self._job.grace:
                # The lease was renewed after all. This term is over, and others may lead.
                with contextlib.suppress(ElectionError):
                    leadership.resign(timeout=_RESIGN_WITHIN)
            else:
                self._pause()

    def _hold(self, leadership: Leadership) -> None:
        """Goes on leading, so that nobody runs the same job again."""
        while time.monotonic() < self._hold_until and leadership.held:
            if set(ENDING) & set(self._pause()) or self._signals.stopped is not None:
                return

    @property
    def _name(self) -> str:
        return repr(self._client.name.decode("utf-8", "replace"))


def _deadline(leadership: Leadership) -> float:
    """Until when leadership may be believed in, by the guardian's clock."""
    # In this order: a delay in between makes it earlier.
    now = guardian.clock()
    return now + leadership.remaining
