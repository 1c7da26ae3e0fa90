"""What a client may build on a Watch that starts "from now"."""

from __future__ import annotations

from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any

from etcd_election.pb import rpc_pb2
from tests.support.raw import as_bytes, prefix_end

from .bench import LONG, Bench, Rows, pause, some_ms, yes

OURS = 7
"""A watch id of our choice."""


class WatchStream:
    """A watch stream whose requests are sent one by one."""

    def __init__(self, bench: Bench) -> None:
        self._requests: SimpleQueue[rpc_pb2.WatchRequest | None] = SimpleQueue()
        requests = iter(self._requests.get, None)
        self._call: Any = bench.raw.watch.Watch(requests, timeout=6 * LONG)
        self._answers: Iterator[rpc_pb2.WatchResponse] = iter(self._call)

    def create(self, key: str | bytes, watch_id: int, *, prefix: bool = False) -> None:
        """Asks for a watch from now on, on a key or on all that begin so."""
        first = as_bytes(key)
        create = rpc_pb2.WatchCreateRequest(
            key=first, range_end=prefix_end(first) if prefix else b"", watch_id=watch_id
        )
        self._requests.put(rpc_pb2.WatchRequest(create_request=create))

    def cancel(self, watch_id: int) -> None:
        """Asks for the end of one."""
        cancel = rpc_pb2.WatchCancelRequest(watch_id=watch_id)
        self._requests.put(rpc_pb2.WatchRequest(cancel_request=cancel))

    def next(self) -> rpc_pb2.WatchResponse:
        """The next answer."""
        return next(self._answers)

    def close(self) -> None:
        """Ends the stream."""
        self._requests.put(None)
        self._call.cancel()


def watches(bench: Bench) -> Rows:
    """Watch ids, the moment from which changes are told, the form of a deletion."""
    raw, name = bench.raw, bench.name()
    stream = WatchStream(bench)
    stream.create(name, OURS)
    created = stream.next()
    yield (
        "the answer to a create has our watch_id",
        yes(created.created and created.watch_id == OURS),
    )
    lease = raw.grant()
    put_at = raw.put(name, "v", lease=lease)
    event = stream.next().events[0]
    yield (
        "an event's kv has lease, create_revision and mod_revision",
        yes(
            event.kv.lease == lease and event.kv.create_revision == event.kv.mod_revision == put_at
        ),
    )
    request = rpc_pb2.LeaseRevokeRequest(ID=lease)
    revoked_at = raw.lease.LeaseRevoke(request, timeout=LONG).header.revision
    event = stream.next().events[0]
    yield (
        "a lease's end is a DELETE, its kv.mod_revision that of the end",
        yes(event.type == event.DELETE and event.kv.mod_revision == revoked_at),
    )
    stream.create(name, OURS)
    yield "a second create with the same watch_id", _told(stream.next())
    stream.cancel(OURS)
    yield "the answer to a cancel", _told(stream.next())
    stream.create(name, OURS)
    yield "a create with the watch_id of one that was cancelled", _told(stream.next())
    stream.close()
    yield from _no_gap(bench)


def _told(answer: rpc_pb2.WatchResponse) -> str:
    flags = [word for word in ("created", "canceled") if getattr(answer, word)]
    reason = f", `{answer.cancel_reason}`" if answer.cancel_reason else ""
    return f"watch_id {answer.watch_id}, {' and '.join(flags) or 'neither'}{reason}"


def _no_gap(bench: Bench) -> Rows:
    """Writes of others around the creation of a watch: none after "created" may be missed."""
    stream, names = WatchStream(bench), bench.names(bench.times(300))
    written: list[tuple[int, bytes, int]] = []
    for number, name in enumerate(names, 1):
        stream.create(name, number)
        pause(some_ms(0.5))
        written.append((number, as_bytes(name), bench.raw.put(name, "v")))
    stream.create("last", len(names) + 1)
    # A change while its watch was being made is told with the next catch-up of 100 ms.
    pause(0.5)
    bench.raw.put("last", "v")
    created: dict[int, int] = {}
    heard: set[bytes] = set()
    while b"last" not in heard:
        answer = stream.next()
        if answer.created:
            created[answer.watch_id] = answer.header.revision
        heard.update(event.kv.key for event in answer.events)
    stream.close()
    later = [key for number, key, revision in written if revision > created[number]]
    missed = sum(key not in heard for key in later)
    yield "changes after the revision of the answer to the create: missed", f"{missed}/{len(later)}"
