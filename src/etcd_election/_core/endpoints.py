"""Where etcd is, and which endpoint to try next.

``parse`` reads endpoints as etcdctl does. A name that has several addresses counts as that many
endpoints, once they are known (``names.py``). ``EndpointRing`` remembers which of them worked: it
stays with one that works, leaves one that failed for the one whose failure is longest ago, and does
not suspect an endpoint on which something has succeeded since the failed call was sent (a call that
was starved says nothing about its endpoint).
"""

from __future__ import annotations

import ipaddress
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass

_HOST = re.compile(r"(?!-)[A-Za-z0-9_.-]{1,253}\Z")
_MAX_PORT = 65535


@dataclass(frozen=True)
class Endpoint:
    """One address of etcd.

    Attributes:
        host: A DNS name or an IP address, IPv6 without brackets.
        port: 1 to 65535.
        tls: True where TLS is spoken.
        address: An address of the host, where that is a name which was looked up.
    """

    host: str
    port: int
    tls: bool = False
    address: str | None = None

    @property
    def authority(self) -> str:
        """``host:port``, as it was given: what a certificate is for."""
        return _join(self.host, self.port)

    @property
    def target(self) -> str:
        """``host:port``, as gRPC takes it, the address in place of the name where it is known."""
        return _join(self.address or self.host, self.port)

    @property
    def shown(self) -> str:
        """For people."""
        return f"{self.authority} ({self.address})" if self.address else self.authority

    @property
    def loopback(self) -> bool:
        """True where the host is this machine by its name or number."""
        hosts = (self.host, self.address or self.host)
        return any(host in ("localhost", "::1") or host.startswith("127.") for host in hosts)


def _join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_name(host: str) -> bool:
    """False for an IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return True
    return False


def parse(endpoints: object, *, tls: bool = False) -> tuple[Endpoint, ...]:
    """Reads one string (a comma list is fine) or a sequence of strings.

    Args:
        endpoints: What was given.
        tls: Whether TLS is spoken where no ``http://`` or ``https://`` says so.

    Raises:
        TypeError: Something else was given.
        ValueError: There is none, or one is not ``[http[s]://]host:port``.
    """
    if isinstance(endpoints, str):
        texts = _split(endpoints)
    elif isinstance(endpoints, Sequence) and not isinstance(endpoints, (bytes, bytearray)):
        texts = []
        for entry in endpoints:
            if not isinstance(entry, str):
                raise TypeError(f"endpoints must be strings, not {type(entry).__name__}")
            texts.extend(_split(entry))
    else:
        kind = type(endpoints)
        text = f"endpoints must be a string or a sequence of strings, not {kind.__name__}"
        if kind.__module__.startswith("etcd_election."):
            text += "; etcd_election and etcd_election.aio cannot share an Etcd: make one for each"
        raise TypeError(text)
    if not texts:
        raise ValueError("endpoints must name at least one endpoint")
    parsed = tuple(dict.fromkeys(_one(text.strip(), tls) for text in texts))
    if tls and not any(endpoint.tls for endpoint in parsed):
        raise ValueError("endpoints: tls was given, and all of them say http://")
    return parsed


def _split(text: str) -> list[str]:
    # Refused before anything of it is quoted: before an @ stands a password.
    if "@" in text:
        raise ValueError("endpoints must not hold a user (before an @): give user and password")
    return text.split(",")


def _one(text: str, tls: bool) -> Endpoint:
    scheme, separator, rest = text.rpartition("://")
    if separator and scheme not in ("http", "https"):
        raise ValueError(f"endpoints: {text!r} has a scheme other than http and https")
    rest = rest.removesuffix("/")
    host, separator, port_text = rest.rpartition(":")
    if not separator or not host or not re.fullmatch("[0-9]{1,9}", port_text):
        raise ValueError(f"endpoints: {text!r} is not host:port, such as 127.0.0.1:2379")
    port = int(port_text)
    if not 0 < port <= _MAX_PORT:
        raise ValueError(f"endpoints: {text!r} has a port outside 1 to {_MAX_PORT}")
    return Endpoint(_host(host, text), port, tls if not scheme else scheme == "https")


def _host(host: str, text: str) -> str:
    if host.startswith("[") and host.endswith("]"):
        try:
            return str(ipaddress.IPv6Address(host[1:-1]))
        except ValueError:
            raise ValueError(f"endpoints: {text!r} has no IPv6 address in its brackets") from None
    if not _HOST.match(host):
        raise ValueError(f"endpoints: {text!r} is not host:port (IPv6 addresses need brackets)")
    return host


class EndpointRing:
    """Picks the endpoint for the next attempt. Thread-safe."""

    def __init__(self, size: int) -> None:
        self._lock = threading.Lock()
        self._failed_at: list[float | None] = [None] * size
        self._worked_at = [float("-inf")] * size
        self._current = 0

    def __len__(self) -> int:
        return len(self._failed_at)

    def pick(self) -> int:
        """The endpoint in use, or, while it is suspected, the one whose failure is oldest."""
        with self._lock:
            if self._failed_at[self._current] is not None:
                self._current = self._least_suspected(range(len(self._failed_at)))
            return self._current

    def grow(self, size: int) -> None:
        """There are more endpoints now."""
        with self._lock:
            more = size - len(self._failed_at)
            self._failed_at += [None] * more
            self._worked_at += [float("-inf")] * more

    def renew(self, endpoint: int) -> None:
        """Another address stands for this number: what was known is void."""
        with self._lock:
            self._failed_at[endpoint] = None
            self._worked_at[endpoint] = float("-inf")

    def other(self, than: int) -> int:
        """Another endpoint than ``than``, the least suspected one; the same if there is but one."""
        with self._lock:
            others = [i for i in range(len(self._failed_at)) if i != than]
            return self._least_suspected(others) if others else than

    def _least_suspected(self, among: Sequence[int]) -> int:
        """One that is not suspected, or the one whose failure is oldest."""
        failed_at = self._failed_at
        for i in among:
            if failed_at[i] is None:
                return i
        return min(among, key=lambda i: failed_at[i] or 0.0)

    def worked(self, endpoint: int, at: float) -> None:
        """A call on this endpoint was answered."""
        with self._lock:
            self._worked_at[endpoint] = max(self._worked_at[endpoint], at)
            self._failed_at[endpoint] = None

    def failed(self, endpoint: int, sent_at: float, at: float) -> bool:
        """A call sent at ``sent_at`` was not answered; True if the endpoint is suspected for it."""
        with self._lock:
            if self._worked_at[endpoint] >= sent_at:
                return False
            self._failed_at[endpoint] = at
            return True

    def suspect(self, endpoint: int, at: float) -> None:
        """This endpoint is to be left although it answers."""
        with self._lock:
            self._failed_at[endpoint] = at

    def suspected(self, endpoint: int) -> bool:
        """True from a failure on, until it has worked again."""
        with self._lock:
            return self._failed_at[endpoint] is not None

    def fresh(self, endpoint: int) -> bool:
        """True where the first attempt is to have time to connect.

        That is while nothing has ever succeeded on any endpoint, and, if there is but one, since it
        was last suspected. Where there is another way, no connection is waited for.
        """
        with self._lock:
            if max(self._worked_at) == float("-inf"):
                return True
            return len(self._failed_at) == 1 and self._failed_at[endpoint] is not None
