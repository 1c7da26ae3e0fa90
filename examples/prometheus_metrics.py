"""Metrics of an election for Prometheus: a callback that counts and times.

``Metrics`` is to copy from. The program takes part in an election, and serves the metrics on port
9464, until SIGTERM or Ctrl-C::

    python examples/prometheus_metrics.py 127.0.0.1:2379 my-service host-1

Needs prometheus-client. What to be woken for:

- ``rate(etcd_election_renewed_late_total[5m]) > 0``: the next renewal may come too late.
- ``etcd_election_rescued_waits_total > 0``: that etcd should be restarted.
- ``sum(etcd_election_leading) < 1`` over all replicas, for longer than the ttl: nobody leads.
"""

from __future__ import annotations

import signal
import sys

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    start_http_server,
)

from etcd_election import (
    AuthenticatedAgain,
    CampaignStarted,
    ClusterChanged,
    Elected,
    ElectionClient,
    EndpointLeft,
    Etcd,
    Event,
    EventsDropped,
    Leadership,
    LeadershipLost,
    ObserverMoved,
    SessionEnded,
    SessionGranted,
    SessionRenewedLate,
    WaitRescued,
)

SECONDS = (0.01, 0.1, 1, 10, 60, 600, 3600, 86400)


class Metrics:
    """For ``Etcd(..., on_event=Metrics())``. Make one for each registry."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"etcd_election_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str) -> Histogram:
            return Histogram(
                f"etcd_election_{name}", text, ["election"], registry=registry, buckets=SECONDS
            )

        self.leading = Gauge(
            "etcd_election_leading", "1 while this replica leads", ["election"], registry=registry
        )
        self.campaigns = counter("campaigns", "Campaigns started", "election")
        self.waited = histogram("waited_seconds", "From a campaign's start to the election")
        self.led = histogram("led_seconds", "How long leaderships lasted")
        self.lost = counter("lost", "Leaderships that ended", "election", "reason")
        self.sessions = counter("sessions", "Leases granted", "election")
        self.sessions_ended = counter("sessions_ended", "Leases that ended", "election", "reason")
        self.late = counter("renewed_late", "Renewals that came late", "election")
        self.rescued = counter("rescued_waits", "Waits in a member that hung", "endpoint")
        self.left = counter("endpoint_left", "Endpoints suspected", "endpoint")
        self.tokens = counter("authenticated_again", "Further tokens", "endpoint")
        self.moved = counter("observer_moved", "Observers that moved", "election")
        self.clusters = counter("cluster_changed", "Other clusters that answered")
        self.dropped = counter("events_dropped", "Events that this callback missed")

    def __call__(self, event: Event) -> None:
        # Names are bytes, labels text.
        election = getattr(event, "name", b"").decode(errors="replace")
        match event:
            case CampaignStarted():
                self.campaigns.labels(election).inc()
            case Elected(waited=seconds):
                self.leading.labels(election).set(1)
                self.waited.labels(election).observe(seconds)
            case LeadershipLost(reason=reason, led=seconds):
                self.leading.labels(election).set(0)
                self.led.labels(election).observe(seconds)
                self.lost.labels(election, reason.value).inc()
            case SessionGranted():
                self.sessions.labels(election).inc()
            case SessionEnded(reason=reason):
                self.sessions_ended.labels(election, reason.value).inc()
            case SessionRenewedLate():
                self.late.labels(election).inc()
            case WaitRescued(endpoint=endpoint):
                self.rescued.labels(endpoint).inc()
            case EndpointLeft(endpoint=endpoint):
                self.left.labels(endpoint).inc()
            case AuthenticatedAgain(endpoint=endpoint):
                self.tokens.labels(endpoint).inc()
            case ObserverMoved():
                self.moved.labels(election).inc()
            case ClusterChanged():
                self.clusters.inc()
            case EventsDropped(count=count):
                self.dropped.inc(count)


def work(leadership: Leadership) -> None:
    leadership.wait_lost()


def main(endpoints: str, name: str, value: str, port: str = "9464") -> None:
    server, _ = start_http_server(int(port))
    with Etcd(endpoints, on_event=Metrics()) as etcd, ElectionClient(etcd, name) as client:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: client.stop())
        print(f"http://127.0.0.1:{server.server_port}/metrics", flush=True)
        client.run(work, value)


if __name__ == "__main__":
    main(*sys.argv[1:])
