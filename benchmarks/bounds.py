"""What is compared, row by row, and what must come of it. Pure.

The bounds hold for both front-ends. Against raw stubs they hold on every link: what the library
adds is its own work, not the link's. Against Go they depend on the link: on loopback Python's gRPC
itself is slower than Go's, over a distance only round trips count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

LOOPBACK = "loopback"
NEAR = "5 ms"
FAR = "25 ms"

SETTLED = 0.15
"""A waiter of this age hears at once; a younger one in etcd's catch-up, every 100 ms."""
YOUNG = 0.02

FRONTS = ("blocking", "asyncio")

IN_GRPC = " in gRPC"
"""After the name of a step: the part of it in which a call of the library was under way."""


@dataclass(frozen=True)
class Order:
    """What a peer is asked to do.

    Attributes:
        slow: It takes as long as its wait, so it is done less often.
    """

    work: str
    via: str
    age: float = 0.0

    @property
    def slow(self) -> bool:
        return bool(self.age)

    def anyhow(self) -> Order:
        """The same for a peer that has one way only."""
        return Order(self.work, "-", self.age)


@dataclass(frozen=True)
class Compared:
    """A row: one step of an order.

    Attributes:
        title: What users would call it.
        bounds: By link; "" is every link that is not named.
    """

    title: str
    order: Order
    step: str
    bounds: Mapping[str, str]

    def bound(self, link: str) -> str:
        """The bound on a link, "-" if there is none."""
        return self.bounds.get(link, self.bounds.get("", "-"))


_CAMPAIGN = Order("campaign", "service")
_JOIN = Order("campaign", "kv")
_LEAD = Order("lead", "service")

ROWS = (
    Compared(
        "uncontested campaign, verified, via service",
        _CAMPAIGN,
        "campaign",
        {"": "<= 1.3 x raw", NEAR: "<= 1.3 x raw; <= 1.1 x Go"},
    ),
    Compared(
        "uncontested campaign, verified, via kv",
        _JOIN,
        "campaign",
        {
            "": "<= 1.5 x raw",
            LOOPBACK: "<= 1.5 x raw; <= 1.5 x Go",
            NEAR: "<= 1.5 x raw; <= 0.6 x Go",
        },
    ),
    Compared("resign", _CAMPAIGN, "resign", {"": "<= 1.3 x raw"}),
    Compared(
        "first campaign of a client, its lease and its end, via service",
        Order("session", "service"),
        "session",
        {"": "<= 1.3 x raw"},
    ),
    Compared(
        "first campaign of a client, its lease and its end, via kv",
        Order("session", "kv"),
        "session",
        {"": "<= 1.3 x raw"},
    ),
    Compared(
        "the same with a connection of its own, via service",
        Order("connection", "service"),
        "connection",
        {"": "<= 1.3 x raw"},
    ),
    Compared(
        "the same with a connection of its own, via kv",
        Order("connection", "kv"),
        "connection",
        {"": "<= 1.3 x raw"},
    ),
    Compared(
        "hand-over, verified, via service",
        Order("handover", "service", SETTLED),
        "handover",
        {LOOPBACK: "<= 1.6 x Go", NEAR: "<= 1.0 x Go"},
    ),
    Compared(
        "hand-over, verified, via kv",
        Order("handover", "kv", SETTLED),
        "handover",
        {LOOPBACK: "<= 1.6 x Go", NEAR: "<= 1.0 x Go"},
    ),
    Compared(
        "hand-over to a waiter of 20 ms, via kv",
        Order("handover", "kv", YOUNG),
        "handover",
        {LOOPBACK: "<= 0.1 x Go"},
    ),
    Compared("proclaim", _LEAD, "proclaim", {"": "<= 1.2 x raw"}),
    Compared("leader", _LEAD, "leader", {"": "<= 1.2 x raw"}),
)

ORDERS = tuple(dict.fromkeys(row.order for row in ROWS))
