"""Metrics of an election for OpenTelemetry: a callback that counts and times.

``Metrics`` is to copy from. The program takes part in an election until SIGTERM or Ctrl-C, and
prints the metrics once a minute and at its end::

    python examples/opentelemetry_metrics.py 127.0.0.1:2379 my-service host-1

Needs opentelemetry-sdk; a library would do with opentelemetry-api.
"""

from __future__ import annotations

import signal
import sys

from opentelemetry.metrics import Meter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, PeriodicExportingMetricReader

from etcd_election import (
    Elected,
    ElectionClient,
    Etcd,
    Event,
    EventsDropped,
    Leadership,
    LeadershipLost,
    LostReason,
)


class Metrics:
    """For ``Etcd(..., on_event=Metrics(meter))``."""

    def __init__(self, meter: Meter) -> None:
        self.events = meter.create_counter(
            "etcd_election.events", description="What happened, by its kind"
        )
        self.leading = meter.create_up_down_counter(
            "etcd_election.leading", description="Elections that this process leads"
        )
        self.waited = meter.create_histogram(
            "etcd_election.waited", "s", "From a campaign's start to the election"
        )
        self.led = meter.create_histogram("etcd_election.led", "s", "How long leaderships lasted")

    def __call__(self, event: Event) -> None:
        attributes = {}
        # Lease ids and tokens stay out: every value of an attribute is a time series of its own.
        for field in ("name", "reason", "endpoint"):
            match getattr(event, field, None):
                case bytes(name):
                    attributes["election"] = name.decode(errors="replace")
                case LostReason() as reason:
                    attributes["reason"] = reason.value
                case str(text):
                    attributes[field] = text
        number = event.count if isinstance(event, EventsDropped) else 1
        self.events.add(number, {"kind": type(event).__name__, **attributes})
        match event:
            case Elected(waited=seconds):
                self.leading.add(1, attributes)
                self.waited.record(seconds, attributes)
            case LeadershipLost(led=seconds):
                self.leading.add(-1, {"election": attributes["election"]})
                self.led.record(seconds, attributes)


def work(leadership: Leadership) -> None:
    print("leading, with fencing token", leadership.token, flush=True)
    leadership.wait_lost()


def main(endpoints: str, name: str, value: str) -> None:
    provider = MeterProvider([PeriodicExportingMetricReader(ConsoleMetricExporter())])
    metrics = Metrics(provider.get_meter("my-service"))
    with Etcd(endpoints, on_event=metrics) as etcd, ElectionClient(etcd, name) as client:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: client.stop())
        client.run(work, value)
    # Behind the connection's end, which waits until its events are told.
    provider.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
