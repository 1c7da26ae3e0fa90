"""Servers that misbehave: on the level of bytes (`RogueServer`) and on that of gRPC (`RogueGrpc`).

No client may hang, crash or believe anything because of them.
"""

from __future__ import annotations

import contextlib
import enum
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType

import grpc

HOST = "127.0.0.1"

# Neither HTTP/2 frames nor text.
GARBAGE = bytes(range(255, -1, -1)) * 4


class Rogue(enum.Enum):
    """What a `RogueServer` does with a connection."""

    SILENT = "accepts and says nothing"
    GARBAGE = "answers at once with bytes that mean nothing"
    CLOSING = "closes at once"


class RogueServer:
    """A TCP server that speaks no protocol; runs from construction on, until `close`.

    Attributes:
        endpoint: `host:port`.
        accepted: Connections so far.
    """

    def __init__(self, mode: Rogue) -> None:
        self.accepted = 0
        self._mode = mode
        self._open: list[socket.socket] = []
        self._closing = threading.Event()
        self._listener = socket.create_server((HOST, 0), backlog=128)
        port: int = self._listener.getsockname()[1]
        self.endpoint = f"{HOST}:{port}"
        self._thread = threading.Thread(target=self._run, name=f"rogue-server-{port}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends all connections and the thread. Idempotent."""
        if self._closing.is_set():
            return
        self._closing.set()
        host, port = self._listener.getsockname()
        # Closing a listener does not wake the thread that waits on it; a visitor does.
        with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=5.0):
            pass
        self._thread.join()
        self._listener.close()
        for connection in self._open:
            connection.close()

    def __enter__(self) -> RogueServer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self._closing.is_set():
                connection.close()
                return
            self.accepted += 1
            if self._mode is Rogue.CLOSING:
                connection.close()
                continue
            self._open.append(connection)
            if self._mode is Rogue.GARBAGE:
                with contextlib.suppress(OSError):
                    connection.sendall(GARBAGE)


@dataclass(frozen=True)
class Answer:
    """What a `RogueGrpc` says to a call.

    Attributes:
        message: Sent for every request of the call, undecodable or not; None: no message at all.
        code: How the call ends. Anything but OK comes at once, instead of a message.
        details: The text of that.
        silent: Never answers; the call ends by the client or with the server.
    """

    message: bytes | None = b""
    code: grpc.StatusCode = grpc.StatusCode.OK
    details: str = ""
    silent: bool = False


EMPTY = Answer()
UNDECODABLE = Answer(message=b"\xff" * 7)
SILENT = Answer(silent=True)


class RogueGrpc(grpc.GenericRpcHandler):
    """A real gRPC server that gives every method the same answer; until `close`.

    Args:
        answer: What every method answers that has no entry in `answers`.

    Attributes:
        endpoint: `host:port`.
        answers: Answers of single methods, such as "/etcdserverpb.Lease/LeaseGrant"; may be
            changed at any time.
        calls: The methods called so far, in order.
    """

    def __init__(self, answer: Answer = EMPTY) -> None:
        self.answer = answer
        self.answers: dict[str, Answer] = {}
        self.calls: list[str] = []
        # A silent call, or an open stream, keeps its thread.
        self._pool = ThreadPoolExecutor(64, thread_name_prefix="rogue-grpc")
        self._server = grpc.server(self._pool, handlers=[self])
        port = self._server.add_insecure_port(f"{HOST}:0")
        self.endpoint = f"{HOST}:{port}"
        self._server.start()

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[bytes, bytes]:
        """Called by grpc. A stream of one message is what a unary client understands as well."""
        method = handler_call_details.method
        self.calls.append(method)
        answer = self.answers.get(method, self.answer)

        def behave(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
            return self._behave(answer, requests, context)

        behaviour: Callable[[Iterator[bytes], grpc.ServicerContext], Iterator[bytes]] = behave
        return grpc.stream_stream_rpc_method_handler(behaviour)

    def close(self) -> None:
        """Ends all calls and the server. Idempotent."""
        self._server.stop(0).wait()
        self._pool.shutdown()

    def __enter__(self) -> RogueGrpc:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _behave(
        self, answer: Answer, requests: Iterator[bytes], context: grpc.ServicerContext
    ) -> Iterator[bytes]:
        if answer.silent:
            over = threading.Event()
            if context.add_callback(over.set):
                over.wait()
            return
        if answer.code is not grpc.StatusCode.OK:
            context.abort(answer.code, answer.details)
        with contextlib.suppress(grpc.RpcError):  # the client went away
            for _ in requests:
                if answer.message is not None:
                    yield answer.message
