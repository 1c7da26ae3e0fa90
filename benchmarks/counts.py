"""What etcd counts: calls, watches and bytes, read from its metrics. Pure but for the asking."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

_LINE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_METHOD = re.compile(r'grpc_method="(\w+)"')


@dataclass(frozen=True)
class Counts:
    """At one moment; a difference is what came in between.

    Attributes:
        answers: Messages sent to clients, by method. Not those received: the end of a stream counts
            as one there.
        calls: Calls that have ended, by method.
        watches: Watches that are open.
        received, sent: Bytes of messages, without what HTTP/2 adds.
    """

    answers: Counter[str]
    calls: Counter[str]
    watches: int
    received: float
    sent: float

    @classmethod
    def of(cls, text: str) -> Counts:
        """Reads what etcd says on /metrics."""
        values: dict[str, float] = {}
        answers: Counter[str] = Counter()
        calls: Counter[str] = Counter()
        for name, labels, value in _LINE.findall(text):
            method = _METHOD.search(labels)
            if method is None:
                values[name] = float(value)
            elif name == "grpc_server_msg_sent_total":
                answers[method[1]] += int(float(value))
            elif name == "grpc_server_handled_total":
                calls[method[1]] += int(float(value))
        return cls(
            answers,
            calls,
            int(values.get("etcd_debugging_mvcc_watcher_total", 0)),
            values["etcd_network_client_grpc_received_bytes_total"],
            values["etcd_network_client_grpc_sent_bytes_total"],
        )

    def since(self, before: Counts) -> Counts:
        """What came since; watches are those that are open now."""
        return Counts(
            self.answers - before.answers,
            self.calls - before.calls,
            self.watches,
            self.received - before.received,
            self.sent - before.sent,
        )
