"""A TCP proxy that can go deaf: what a cut, a silent or a broken link looks like to both ends.

Modes (`Mode`), changed at any time by assigning `proxy.mode`; a change holds when the assignment
returns:

    PASS            everything passes
    DEAF_TO_CLIENT  what clients send is held, what the server sends passes
    DEAF_TO_SERVER  what the server sends is held, what clients send passes
    DEAF            both are held
    REFUSE          as PASS for open connections; new ones are refused
    DELAY           everything passes `delay` seconds later, in either direction
    STALE           connections open at the change are deaf for ever; new ones pass. The next
                    change resets those that are left: something between forgot them

Held means: nothing is read, so nobody is told, not even of an end; nothing is lost, and it passes
when the mode allows it. A link that never heals is made by DEAF and then `reset()`. New connections
are accepted in all modes but REFUSE.

One thread serves all connections of a proxy; it is a daemon named "tcp-proxy-<port>".
"""

from __future__ import annotations

import contextlib
import enum
import queue
import random
import selectors
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import TypeVar

from .etcd_server import HOST, PORTS

T = TypeVar("T")

CHUNK = 64 << 10
BUFFER = 256 << 10


class Mode(enum.Enum):
    """What passes; the module's docstring has the table."""

    PASS = "pass"
    DEAF_TO_CLIENT = "deaf to client"
    DEAF_TO_SERVER = "deaf to server"
    DEAF = "deaf"
    REFUSE = "refuse"
    DELAY = "delay"
    STALE = "stale"


class _Half:
    """One direction of a connection: what was read from `source` and not yet written to `sink`."""

    def __init__(self, source: socket.socket, sink: socket.socket, deaf: frozenset[Mode]) -> None:
        self.source = source
        self.sink = sink
        self.deaf = deaf
        self.buffer = bytearray()
        self.late: deque[tuple[float, bytes]] = deque()  # read, and due for the buffer at a time
        self.ended = False  # the source has
        self.shut = False  # and the sink was told

    def wants_read(self, mode: Mode) -> bool:
        return mode not in self.deaf and not self.ended and len(self.buffer) < BUFFER

    def wants_write(self, mode: Mode) -> bool:
        over = self.ended and not self.shut and not self.late
        return mode not in self.deaf and (bool(self.buffer) or over)

    def read(self, delay: float) -> None:
        chunk = self.source.recv(CHUNK)
        if delay or self.late:
            self.late.append((time.monotonic() + delay, chunk))
        else:
            self.buffer += chunk
        self.ended = not chunk

    def ripen(self, now: float) -> None:
        """What is due may be written."""
        while self.late and self.late[0][0] <= now:
            self.buffer += self.late.popleft()[1]

    def write(self) -> int:
        sent = self.sink.send(self.buffer) if self.buffer else 0
        del self.buffer[:sent]
        if self.ended and not self.buffer and not self.late:
            self.sink.shutdown(socket.SHUT_WR)
            self.shut = True
        return sent


class _Pair:
    """A client's connection and the one made for it to the server."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        self.connected = False
        self.stale = False
        self.up = _Half(client, server, frozenset({Mode.DEAF_TO_CLIENT, Mode.DEAF}))
        self.down = _Half(server, client, frozenset({Mode.DEAF_TO_SERVER, Mode.DEAF}))

    def wanted(self, sock: socket.socket, mode: Mode) -> int:
        source, sink = (self.up, self.down) if sock is self.client else (self.down, self.up)
        if self.stale:
            return 0
        if not self.connected:
            return selectors.EVENT_WRITE if sock is self.server else 0
        events = selectors.EVENT_READ if source.wants_read(mode) else 0
        return events | (selectors.EVENT_WRITE if sink.wants_write(mode) else 0)


class TcpProxy:
    """A proxy before one server; listens from construction on, until `close`.

    Thread-safe. The counters only grow; they may be read at any time.

    Args:
        upstream: `host:port` of the server. It is looked for anew for every connection.

    Attributes:
        delay: Seconds that DELAY holds everything; to be set before that mode.
        accepted: Connections so far.
        to_server: Bytes passed on to the server.
        to_client: Bytes passed on to clients.
    """

    def __init__(self, upstream: str) -> None:
        host, _, port = upstream.rpartition(":")
        self._upstream = (host, int(port))
        self.delay = 0.1
        self.accepted = 0
        self.to_server = 0
        self.to_client = 0
        self._mode = Mode.PASS
        self._pairs: set[_Pair] = set()
        self._orders: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._selector = selectors.DefaultSelector()
        self._waker, self._woken = socket.socketpair()
        self._woken.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._listener: socket.socket | None = None
        self._port = 0
        self._listen()
        self._closed = False
        self._closing = threading.Lock()
        self._thread = threading.Thread(
            target=self._run, name=f"tcp-proxy-{self._port}", daemon=True
        )
        self._thread.start()

    @property
    def endpoint(self) -> str:
        """`host:port` for clients; stays the same over REFUSE."""
        return f"{HOST}:{self._port}"

    @property
    def open_connections(self) -> int:
        """Connections that the proxy has not seen end."""
        return self._order(lambda: len(self._pairs))

    @property
    def mode(self) -> Mode:
        """What passes at present."""
        return self._mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        self._order(lambda: self._set_mode(mode))

    def reset(self) -> int:
        """Ends all open connections with RST on both sides; what was held is lost.

        Returns:
            How many there were.
        """
        return self._order(self._reset_all)

    def cut(self) -> int:
        """REFUSE and `reset` in one: the server has gone, as far as clients can see."""

        def cut() -> int:
            self._set_mode(Mode.REFUSE)
            return self._reset_all()

        return self._order(cut)

    def close(self) -> None:
        """Ends all and the thread. Idempotent."""
        with self._closing:
            if self._closed:
                return
            self._order(self._stop)
            self._thread.join()
            self._selector.close()
            self._waker.close()
            self._woken.close()

    def __enter__(self) -> TcpProxy:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # Everything below runs on the proxy's thread, except _order and the first _listen.

    def _order(self, action: Callable[[], T]) -> T:
        if self._closed:
            raise RuntimeError("this proxy is closed")
        answer: queue.SimpleQueue[T] = queue.SimpleQueue()
        self._orders.put(lambda: answer.put(action()))
        self._waker.send(b"!")
        return answer.get(timeout=10.0)

    def _run(self) -> None:
        while not self._closed:
            for key, events in self._selector.select(self._ripen()):
                if key.fileobj is self._woken:
                    self._obey()
                elif key.fileobj is self._listener:
                    self._accept()
                elif key.data in self._pairs:
                    self._serve(key.data, key.fileobj, events)

    def _ripen(self) -> float | None:
        """Lets through what is due; returns the seconds until more is."""
        now, due_at = time.monotonic(), float("inf")
        for pair in self._pairs:
            for half in (pair.up, pair.down):
                if half.late:
                    half.ripen(now)
                    self._attend(pair)
                if half.late:
                    due_at = min(due_at, half.late[0][0])
        return None if due_at == float("inf") else max(0.0, due_at - now)

    def _obey(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._woken.recv(CHUNK)
        with contextlib.suppress(queue.Empty):
            while True:
                self._orders.get_nowait()()

    def _listen(self) -> None:
        listener = self._listener_on(self._port) if self._port else None
        while listener is None:
            # Not one that the system hands out: while new connections are refused, an outgoing one
            # could take it.
            if self._port:
                raise OSError(f"somebody has taken port {self._port}")
            listener = self._listener_on(random.choice(PORTS))
        listener.setblocking(False)
        self._port = listener.getsockname()[1]
        self._selector.register(listener, selectors.EVENT_READ)
        self._listener = listener

    @staticmethod
    def _listener_on(port: int) -> socket.socket | None:
        listener = socket.socket()
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((HOST, port))
            listener.listen(1024)
        except OSError:
            listener.close()
            return None
        return listener

    def _set_mode(self, mode: Mode) -> None:
        if mode is Mode.REFUSE:
            self._close_listener()
        elif self._listener is None:
            self._listen()
        self._mode = mode
        for pair in list(self._pairs):
            if pair.stale:
                self._reset(pair)
            else:
                pair.stale = mode is Mode.STALE
                self._attend(pair)

    def _close_listener(self) -> None:
        if self._listener is not None:
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = None

    def _stop(self) -> None:
        self._closed = True
        self._close_listener()
        self._reset_all()

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            client, _ = self._listener.accept()
        except OSError:
            return
        self.accepted += 1
        server = socket.socket()
        for sock in (client, server):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pair = _Pair(client, server)
        self._pairs.add(pair)
        server.connect_ex(self._upstream)
        self._attend(pair)

    def _attend(self, pair: _Pair) -> None:
        for sock in (pair.client, pair.server):
            wanted = pair.wanted(sock, self._mode)
            known = self._selector.get_map().get(sock)
            if known is None and wanted:
                self._selector.register(sock, wanted, pair)
            elif known is not None and not wanted:
                self._selector.unregister(sock)
            elif known is not None and known.events != wanted:
                self._selector.modify(sock, wanted, pair)

    def _serve(self, pair: _Pair, sock: object, events: int) -> None:
        try:
            if not pair.connected:
                error = pair.server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if error:
                    raise OSError(error, "the server does not take the connection")
                pair.connected = True
            else:
                self._move(pair, sock, events)
        except BlockingIOError:
            pass
        except OSError:
            self._reset(pair)
            return
        if pair.up.shut and pair.down.shut:
            self._forget(pair)
        else:
            self._attend(pair)

    def _move(self, pair: _Pair, sock: object, events: int) -> None:
        source, sink = (pair.up, pair.down) if sock is pair.client else (pair.down, pair.up)
        if events & selectors.EVENT_READ and source.wants_read(self._mode):
            source.read(self.delay if self._mode is Mode.DELAY else 0.0)
        if events & selectors.EVENT_WRITE and sink.wants_write(self._mode):
            sent = sink.write()
            if sink is pair.up:
                self.to_server += sent
            else:
                self.to_client += sent

    def _forget(self, pair: _Pair) -> None:
        self._pairs.discard(pair)
        for sock in (pair.client, pair.server):
            with contextlib.suppress(KeyError):
                self._selector.unregister(sock)
            sock.close()

    def _reset(self, pair: _Pair) -> None:
        for sock in (pair.client, pair.server):
            with contextlib.suppress(OSError):
                # Closing without lingering sends RST.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._forget(pair)

    def _reset_all(self) -> int:
        pairs = list(self._pairs)
        for pair in pairs:
            self._reset(pair)
        return len(pairs)
