"""All peers on one link, doing the same works in turns, so that what the machine does hits all.

A peer is a process (`benchmarks.peers`, `benchmarks/go`). In every round each does each work a few
times, in an order that is drawn anew; what is compared are medians over all rounds.
"""

from __future__ import annotations

import contextlib
import random
from collections import defaultdict
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .bounds import ORDERS, Order
from .child import Child

OURS = ("ours", "ours-aio")
RAW = ("raw", "raw-aio")
GO = "go"
ETCD3AIO = "etcd3aio"
WARM = 3
"""Times each work is done before it counts."""

Key = tuple[str, Order, str]
"""Peer, order, step."""
Samples = dict[Key, list[float]]


@dataclass(frozen=True)
class Link:
    """How far away etcd is, and how often everything is done there.

    Attributes:
        name: As the table has it.
        distance: Seconds of round trip that are added; 0: there is no proxy.
        rounds: How many there are.
        quick, slow: How often a work is done in each; slow ones wait besides.
    """

    name: str
    distance: float
    rounds: int
    quick: int
    slow: int


@dataclass(frozen=True)
class Peer:
    """One process, and what it is asked for."""

    name: str
    child: Child
    orders: tuple[Order, ...]

    def does(self, order: Order, count: int) -> dict[str, list[float]]:
        """Has it done so many times; returns seconds by step."""
        patience = 30.0 + count * (1.0 + order.age)
        text = f"{order.work} {order.via} {count} {order.age}"
        took: dict[str, list[float]] = self.child.ask(text, patience)
        return took


def _orders(name: str) -> tuple[Order, ...]:
    """What a peer can do, and is worth its time."""
    via_service = tuple(order for order in ORDERS if order.via == "service")
    if name.startswith("naive"):
        return via_service
    if name.startswith("raw-watch"):
        return tuple(order for order in ORDERS if order.work == "campaign")
    if name in {GO, ETCD3AIO}:
        anyhow = dict.fromkeys(order.anyhow() for order in ORDERS)
        # Without a lease of its own no campaign of that library begins.
        return tuple(order for order in anyhow if name == GO or order.work != "campaign")
    return ORDERS


@contextlib.contextmanager
def peers(endpoint: str, names: Sequence[str], go: Path | None) -> Generator[list[Peer]]:
    """The processes, warm, each in an election of its own."""
    with contextlib.ExitStack() as stack:
        made = []
        for name in names:
            if name == GO:
                child = Child([str(go), endpoint, name])
            else:
                child = Child.python("benchmarks.peers", name, endpoint, name)
            peer = Peer(name, stack.enter_context(child), _orders(name))
            for order in peer.orders:
                peer.does(order, 1 if order.slow else WARM)
            made.append(peer)
        yield made


def contest(link: Link, contenders: Sequence[Peer], say: Callable[[str], None]) -> Samples:
    """All rounds on one link."""
    samples: Samples = defaultdict(list)
    draw = random.Random()
    for number in range(link.rounds):
        turns = [(peer, order) for peer in contenders for order in peer.orders]
        # The same work side by side: what the machine is doing then, it does to all.
        draw.shuffle(turns)
        turns.sort(key=lambda turn: (turn[1].work, turn[1].age))
        for peer, order in turns:
            took = peer.does(order, link.slow if order.slow else link.quick)
            for step, seconds in took.items():
                samples[peer.name, order, step] += seconds
        say(f"{link.name}: round {number + 1} of {link.rounds}")
    return samples
