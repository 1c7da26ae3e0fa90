"""All times that this library decides by, and where they come from.

Durations are float seconds, a lease's ttl whole seconds. Instants are readings of a clock that goes
on while the machine sleeps: a lease runs out during a suspend, and its holder must know.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable

Clock = Callable[[], float]
Random = Callable[[], float]
"""Uniform in [0, 1)."""

MIN_TTL = 2
"""Etcd raises smaller ones to about its election timeout: with default settings, to 2 s."""
MAX_TTL = 9_000_000_000
"""Etcd answers OUT_OF_RANGE above."""
DEFAULT_TTL = 15
DEFAULT_TIMEOUT = 5.0

CLEANUP = 2.0
"""How long an operation that is given up may still take to remove what it left on the server."""
CLEANUP_OF_MANY = 30.0
"""The same for a connection that ends, as long as etcd goes on confirming removals."""
RETIRE_AFTER = 30.0
"""So long past its end a lease is still revoked: a change of raft leader extends leases."""
GRANT_MAY_LAND = 5.0
"""A grant that was given up may be carried out so much later."""

PATIENCE = (0.3, 0.5, 1.0, 1.0, 2.0)
"""How long an attempt of an idempotent call may take in round 1, 2, ... over all endpoints.

The last one holds for all further rounds."""
STRETCH = 8.0
"""No attempt is given less than so many times the latency that the cluster has shown."""
CONNECTING = 1.0
"""What the first attempt gets on top where nothing is known, or where there is no other way."""
ROUND_DELAY = (0.05, 0.1, 0.2, 0.4, 0.5)
"""The pause after 1, 2, ... rounds in which every endpoint failed at once.

So long at most nobody knows that etcd is back, and nobody leads."""

LOOP_DELAY = (0.1, 0.5, 1.0, 2.0, 5.0)
"""The pause before ``run()`` campaigns again, after 0, 1, ... in a row that brought no term of some
length."""
COOLDOWN = 1.0
"""The same, after leadership was given up: whoever else is about to campaign comes first."""

WATCH_DELAY = (0.05, 0.1, 0.2, 0.5, 1.0)
"""The pause before a watch stream is opened again, after 0, 1, ... that brought nothing."""

TOKEN_TRIES = 4
"""Tokens fetched for one call: a member that lags does not know one that was just made."""
WATCH_DOUBTED = 5.0
"""A watch refused so soon after another is refused for good: the token was fresh."""

LOOK_UP = 1.0
"""So long the first use of a connection waits for the addresses of its names."""
LOOK_UP_AGAIN = 1.0
"""Names are looked up at most so often."""
PROBE = 0.5
"""So long an endpoint that hangs up at once has to show what it speaks."""
PROBE_AGAIN = 1.0
"""An endpoint is probed at most so often."""

MAX_EVENTS = 1000
"""So many events wait for the user's callback; further ones are dropped."""
DELIVERY = 0.5
"""So long the end of a connection waits for the user's callback to hear of all."""

SETTLE = 0.02
"""A Campaign silent for so long is taken for contested, and the queue is read."""
KEY_WITHIN = 1.0
"""A Campaign whose key does not stand after so long hangs in raft (7 s were measured)."""
TURN_WITHIN = 0.25
"""First in the queue and the Campaign silent for so long: the Election service hangs."""
OBSERVE_BEAT = 4.0
"""How often an observed election is read besides: a silent Observe stream is mended so soon."""
STAGGER = 0.003
"""Waits are ended so far apart: many at once deadlock the server's Election service."""
MAX_WAITS = 16
"""Waits of one connection in the Election service of one member; some 30 can deadlock it."""
BEATS_TOGETHER = 1 / 64
"""Beats that fall between two multiples of this are made at the first one."""
SHORT_TERM = 1 / 64
"""A leadership that is over so soon is not watched over."""
MAX_CALLS = 16
"""Unary calls that one connection has under way."""


def _system_clock() -> Clock:
    if sys.platform == "linux":
        boottime = time.CLOCK_BOOTTIME
        return lambda: time.clock_gettime(boottime)
    if sys.platform == "darwin":
        raw = time.CLOCK_MONOTONIC_RAW
        return lambda: time.clock_gettime(raw)
    return time.monotonic


system_clock: Clock = _system_clock()
"""CLOCK_BOOTTIME on Linux, CLOCK_MONOTONIC_RAW on macOS, ``time.monotonic`` elsewhere."""


def margin(ttl: float) -> float:
    """How long before the server's own deadline a lease is no longer believed in.

    A tenth covers clocks whose rates differ by as much; 0.2 s is the floor.
    """
    return max(0.2, ttl / 10)


def beat(ttl: float, random: Random) -> float:
    """The time to the next renewal or check: a third of the ttl, up to a tenth of that earlier."""
    return ttl / 3 * (1 - random() / 10)


def beat_after(instant: float, ttl: float, random: Random) -> float:
    """When the first beat after an instant is due: then, or up to ``BEATS_TOGETHER`` earlier.

    The beats of all clients fall on one grid, so that calls of thousands of them go out together:
    a call among sixteen costs a quarter of a lone one (in asyncio, measured).
    """
    return math.floor((instant + beat(ttl, random)) / BEATS_TOGETHER) * BEATS_TOGETHER


def enough(ttl: float) -> float:
    """What must be left of a lease when a leadership is handed out."""
    return ttl / 3


def patience(rounds: int, latency: float, left: float) -> float:
    """How long an attempt of an idempotent call may take after so many rounds that brought nothing.

    In a round every endpoint is tried once. Stretched by ``latency``, but not to more than half of
    what is ``left`` (or what two answers take): what was slow for a while, or was measured by a
    process that was stopped, must leave time for another endpoint.
    """
    stretched = min(latency * STRETCH, max(left / 2, latency * 2))
    return max(PATIENCE[min(rounds, len(PATIENCE) - 1)], stretched)


def round_delay(rounds: int, random: Random) -> float:
    """The pause after ``rounds`` (from 1) fruitless rounds over all endpoints, with jitter."""
    return ROUND_DELAY[min(rounds, len(ROUND_DELAY)) - 1] * (0.75 + random() / 2)


def loop_delay(in_vain: int, random: Random) -> float:
    """The pause before ``run()`` campaigns again, with jitter."""
    return LOOP_DELAY[min(in_vain, len(LOOP_DELAY) - 1)] * (0.75 + random() / 2)


def watch_delay(failures: int) -> float:
    """The pause before a watch stream is opened again, after so many that brought nothing."""
    return WATCH_DELAY[min(failures, len(WATCH_DELAY) - 1)]
