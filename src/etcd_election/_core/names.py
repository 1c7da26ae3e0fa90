"""Which addresses stand behind the names that were given.

A name with several addresses counts as that many endpoints. The names are looked up when the
connection is first used, and again after every endpoint has failed, at most once in
``timing.LOOK_UP_AGAIN``. A look-up that brings nothing changes nothing: until one has, the name
itself is dialled, and gRPC looks it up.

Numbers of endpoints stay what they are: an address that is still there keeps its number, a new one
takes the number of one that is gone, or a further number. When there are fewer addresses than
before, the numbers left over stand for the same ones again.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace

from . import timing
from .endpoints import Endpoint


class Names:
    """The look-ups of one connection. Thread-safe.

    Attributes:
        hosts: The names to be looked up, in order.
        endpoints: All endpoints, by number.
        outstanding: True until the first look-up has ended.
    """

    def __init__(self, given: Sequence[Endpoint], hosts: Iterable[str]) -> None:
        self.hosts = tuple(dict.fromkeys(hosts))
        self.endpoints = tuple(given)
        self.outstanding = bool(self.hosts)
        self._lock = threading.Lock()
        self._doubted = self.outstanding
        self._under_way = False
        self._started_at = float("-inf")

    def doubted(self) -> None:
        """Every endpoint has failed: perhaps they are elsewhere now."""
        self._doubted = True

    def due(self, now: float) -> bool:
        """True if the caller is to have the names looked up now."""
        if not self._doubted or not self.hosts:
            return False
        with self._lock:
            if self._under_way or now < self._started_at + timing.LOOK_UP_AGAIN:
                return False
            self._under_way, self._doubted, self._started_at = True, False, now
            return True

    def ended(self) -> None:
        """The look-up is over."""
        self._under_way = self.outstanding = False

    def found(self, host: str, addresses: Sequence[str]) -> tuple[tuple[Endpoint, ...], set[int]]:
        """What the endpoints are when a name has these addresses, and the numbers that changed."""
        endpoints = list(self.endpoints)
        changed: set[int] = set()
        if not addresses:
            return tuple(endpoints), changed
        given = dict.fromkeys(replace(e, address=None) for e in endpoints if e.host == host)
        for endpoint in given:
            slots = [i for i, e in enumerate(endpoints) if replace(e, address=None) == endpoint]
            kept: set[str | None] = set()
            vacant: list[int] = []
            for slot in slots:
                address = endpoints[slot].address
                if address in addresses and address not in kept:
                    kept.add(address)
                else:
                    vacant.append(slot)
            wanted = [address for address in dict.fromkeys(addresses) if address not in kept]
            for address in wanted[len(vacant) :]:
                changed.add(len(endpoints))
                endpoints.append(replace(endpoint, address=address))
            # Left over: once more those that there are.
            fillers = wanted or list(dict.fromkeys(addresses))
            for n, slot in enumerate(vacant):
                moved = replace(endpoint, address=fillers[n % len(fillers)])
                if moved != endpoints[slot]:
                    endpoints[slot] = moved
                    changed.add(slot)
        return tuple(endpoints), changed
