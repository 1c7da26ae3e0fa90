"""What is found out apart from the calls: the addresses of names, and what an endpoint speaks.

On daemon threads, for a look-up cannot be ended and may take half a minute: no event loop, no
operation and no exit of the interpreter waits for it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from functools import partial

from .._core import timing
from .._core.effects import LookUp, Probe
from .._core.endpoints import Endpoint, is_name
from .._core.link import Link
from .._core.status import Fault
from .options import Options

logger = logging.getLogger("etcd_election")

_PROXIES = ("grpc_proxy", "https_proxy", "http_proxy")
"""The variables that gRPC reads."""

_HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5)
"""What a client says first in plain text, with empty settings."""
_SETTINGS = slice(3, 4), b"\x04"
_FRAME = 9
_TLS_RECORDS = (b"\x16", b"\x15")
"""The first byte of a handshake, and of an alert."""


def hosts_to_look_up(endpoints: Iterable[Endpoint], further: Options) -> list[str]:
    """The names whose addresses are to be found.

    Where a proxy is in use they are left to gRPC, which leaves them to the proxy.
    """
    proxied = dict(further).get("grpc.enable_http_proxy", 1) and any(
        os.environ.get(name) for name in _PROXIES
    )
    return [
        endpoint.host
        for endpoint in endpoints
        if is_name(endpoint.host) and (endpoint.loopback or not proxied)
    ]


def begin(link: Link, effect: LookUp | Probe) -> None:
    """Starts to find out; the link is told. Never raises, never waits."""
    if isinstance(effect, LookUp):
        left = list(link.names.hosts)
        lock = threading.Lock()
        for host in link.names.hosts:
            _start("look-up", partial(_look_up, link, host, left, lock))
    else:
        endpoint = link.endpoints[effect.endpoint]
        _start("probe", lambda: link.speech.told(effect.endpoint, _probe(endpoint)))


def _start(name: str, work: Callable[[], None]) -> None:
    # RuntimeError: no thread can be started, as when the interpreter ends.
    with contextlib.suppress(RuntimeError):
        threading.Thread(target=work, name=f"etcd_election-{name}", daemon=True).start()


def _look_up(link: Link, host: str, left: list[str], lock: threading.Lock) -> None:
    try:
        link.found(host, addresses(host))
    except (OSError, UnicodeError) as error:
        logger.debug("%s could not be looked up: %s", host, error)
    finally:
        with lock:
            left.remove(host)
            if not left:
                link.names.ended()


def addresses(host: str) -> list[str]:
    """The addresses of a name, the best first; those of one link only are left out."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    numbers = dict.fromkeys(str(entry[4][0]) for entry in found)
    return [number for number in numbers if "%" not in number]


def _probe(endpoint: Endpoint) -> Fault | None:
    """Speaks to it in the other way than was asked for; what it answers to, it speaks."""
    address = endpoint.address or endpoint.host, endpoint.port
    with (
        contextlib.suppress(OSError),
        socket.create_connection(address, timing.PROBE) as connection,
    ):
        connection.settimeout(timing.PROBE)
        if endpoint.tls:
            connection.sendall(_HTTP2)
            where, settings = _SETTINGS
            if _first(connection, _FRAME)[where] == settings:
                return Fault.WANTS_PLAIN
        else:
            connection.sendall(_hello(endpoint))
            if _first(connection, 1) in _TLS_RECORDS:
                return Fault.WANTS_TLS
    return None


def _first(connection: socket.socket, size: int) -> bytes:
    heard = b""
    while len(heard) < size and (more := connection.recv(size - len(heard))):
        heard += more
    return heard


def _hello(endpoint: Endpoint) -> bytes:
    """What a client says first in TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    said = ssl.MemoryBIO()
    name = endpoint.host if is_name(endpoint.host) else None
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), said, server_hostname=name).do_handshake()
    return said.read()
