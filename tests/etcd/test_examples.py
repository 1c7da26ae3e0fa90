"""The recipes in ``examples/``, run on a real etcd."""

from __future__ import annotations

import asyncio
import importlib.util
import random
import signal
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, closing
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import CollectorRegistry

from etcd_election import ElectionClient, Etcd, EventsDropped, events
from tests.support.coroutines import until
from tests.support.etcd_server import EtcdServer
from tests.support.events import queue_of
from tests.support.raw import RawEtcd
from tests.support.waiting import eventually

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PATIENCE = 15.0

Start = Callable[..., "subprocess.Popen[str]"]


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts an example as a program."""
    with ExitStack() as stack:

        def start(name: str, *arguments: str) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py"), *arguments],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            stack.callback(process.communicate)
            stack.callback(process.kill)
            return process

        yield start


def ended(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Asks it to end; what it has printed, and complained of."""
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    return out, err


def test_prometheus_scrapes_what_a_candidate_lives_through(
    start: Start, server: EtcdServer, election_name: str, raw: RawEtcd
) -> None:
    process = start("prometheus_metrics", server.endpoint, election_name, "host-1", "0")
    assert process.stdout is not None
    address = process.stdout.readline().strip()

    def scraped(metric: str, value: float, **labels: str) -> bool:
        with urllib.request.urlopen(address, timeout=PATIENCE) as answer:
            lines = answer.read().decode().splitlines()
        given = {"election": election_name, **labels}
        shown = ",".join(f'{name}="{text}"' for name, text in given.items())
        return f"etcd_election_{metric}{{{shown}}} {value}" in lines

    eventually(lambda: scraped("leading", 1.0), PATIENCE)
    assert scraped("campaigns_total", 1.0)
    assert scraped("waited_seconds_count", 1.0)
    raw.delete(queue_of(raw, election_name, 1)[0].key)
    eventually(lambda: scraped("lost_total", 1.0, reason="key deleted"), PATIENCE)
    eventually(lambda: scraped("sessions_ended_total", 1.0, reason="key deleted"), PATIENCE)
    eventually(lambda: scraped("campaigns_total", 2.0), PATIENCE)
    _, err = ended(process)
    assert not err


def samples() -> list[events.Event]:
    """One event of every kind."""
    facts: dict[str, Any] = {
        "bytes": b"x",
        "int": 7,
        "float": 0.5,
        "bool": True,
        "str": "said",
        "LostReason": events.LostReason.RESIGNED,
    }
    kinds = [getattr(events, name) for name in events.__all__ if name != "Event"]
    return [
        kind(**{f.name: facts[f.type] for f in kind.__dataclass_fields__.values()})
        for kind in kinds
    ]


def test_prometheus_counts_every_kind_of_event() -> None:
    registry = CollectorRegistry()
    metrics = load("prometheus_metrics").Metrics(registry)

    def values() -> dict[tuple[str, str], float]:
        return {
            (sample.name, repr(sample.labels)): sample.value
            for family in registry.collect()
            for sample in family.samples
        }

    for event in samples():
        before = values()
        metrics(event)
        assert values() != before, event
    assert registry.get_sample_value("etcd_election_events_dropped_total") == 7


def test_opentelemetry_exports_what_a_candidate_lives_through(
    start: Start, server: EtcdServer, election_name: str
) -> None:
    process = start("opentelemetry_metrics", server.endpoint, election_name, "host-1")
    assert process.stdout is not None
    assert process.stdout.readline().startswith("leading, with fencing token ")
    out, err = ended(process)
    assert err == ""
    for text in ("etcd_election.events", "etcd_election.led", "Elected", election_name, "resigned"):
        assert f'"{text}"' in out


def test_opentelemetry_counts_every_kind_of_event(server: EtcdServer, election_name: str) -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    metrics = load("opentelemetry_metrics").Metrics(provider.get_meter("test"))

    def points(name: str) -> list[Any]:
        data: Any = reader.get_metrics_data()
        scopes = [scope for found in data.resource_metrics for scope in found.scope_metrics]
        found = [metric for scope in scopes for metric in scope.metrics if metric.name == name]
        return list(found[0].data.data_points)

    for event in samples():
        metrics(event)
    counted = {point.attributes["kind"]: point.value for point in points("etcd_election.events")}
    assert counted == {
        type(event).__name__: 7 if isinstance(event, EventsDropped) else 1 for event in samples()
    }
    with Etcd(server.endpoint, on_event=metrics) as etcd:
        leadership = ElectionClient(etcd, election_name, ttl=5).campaign("v")

        def leading() -> list[int]:
            found = points("etcd_election.leading")
            return [p.value for p in found if p.attributes["election"] == election_name]

        eventually(lambda: leading() == [1], PATIENCE)
        leadership.resign()
        eventually(lambda: leading() == [0], PATIENCE)
    provider.shutdown()


def test_sqlite_refuses_the_write_of_a_former_leader(
    start: Start, server: EtcdServer, tmp_path: Path
) -> None:
    path = tmp_path / "accounts.db"
    process = start("fencing_sqlite", server.endpoint, str(path))
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (0, "")
    assert [line.split(maxsplit=2)[:2] for line in out.splitlines()] == [
        ["ann", "wrote,"],
        ["ben", "wrote,"],
        ["ann", "was"],
    ]
    with closing(sqlite3.connect(path)) as database:
        balances = database.execute("SELECT * FROM account ORDER BY name").fetchall()
    assert balances == [("ann", 10), ("ben", 10)]


def test_sqlite_writes_whole_transactions_of_tokens_that_do_not_fall(tmp_path: Path) -> None:
    module = load("fencing_sqlite")
    path = str(tmp_path / "accounts.db")
    store, other = module.Fenced(path, "accounts"), module.Fenced(path, "others")

    def deposit(token: int, by: Any = store, *, fails: bool = False) -> None:
        with by.writing(token) as database:
            database.execute("INSERT INTO account VALUES (?, 1)", (f"{token} {random.random()}",))
            if fails:
                raise ZeroDivisionError

    def count() -> int:
        with closing(sqlite3.connect(path)) as database:
            return int(database.execute("SELECT count(*) FROM account").fetchone()[0])

    deposit(5)
    deposit(5)
    deposit(3, other)
    assert count() == 3
    with pytest.raises(ZeroDivisionError):
        deposit(9, fails=True)
    deposit(7)  # the fence of what was rolled back is, too
    with pytest.raises(module.StaleToken):
        deposit(6)
    assert count() == 4


@asynccontextmanager
async def serving(app: Any) -> AsyncGenerator[httpx.AsyncClient, None]:
    """The service as a server runs it."""
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://replica") as client,
    ):
        yield client


async def says(client: httpx.AsyncClient, path: str, status: int, **facts: object) -> None:
    """Waits for this answer."""

    async def said() -> bool:
        answer = await client.get(path)
        return answer.status_code == status and facts.items() <= answer.json().items()

    await until(said, PATIENCE, f"{path} never said {status} with {facts}")


def test_readiness_says_who_leads_and_who_is_healthy(own_server: EtcdServer) -> None:
    module = load("readiness")
    working: list[str] = []

    async def story() -> None:
        def replica(name: str) -> Any:
            async def lead(_: Any) -> None:
                working.append(name)
                try:
                    await asyncio.Event().wait()
                finally:
                    working.remove(name)

            return serving(module.make_app(own_server.endpoint, "x", name, ttl=2, lead=lead))

        async with replica("first") as first:
            await says(first, "/ready", 200, leads=True, healthy=True, state="leading")
            await says(first, "/leader", 200, leads=True)
            await until(lambda: working == ["first"])
            async with replica("second") as second:
                await says(second, "/ready", 200, leads=False, healthy=True, token=None)
                await says(second, "/leader", 503, leads=False)
                own_server.pause()
                for client in (first, second):
                    await says(client, "/ready", 503, leads=False, healthy=False)
                await until(lambda: working == [])
                own_server.resume()
                for client in (first, second):
                    await says(client, "/ready", 200, healthy=True)
                await until(lambda: len(working) == 1)
        assert working == []

    asyncio.run(story())


def test_readiness_starts_without_an_etcd() -> None:
    async def story() -> None:
        async with serving(load("readiness").make_app("127.0.0.1:1", "x", "v")) as client:
            answer = await client.get("/ready")
            assert answer.status_code == 503
            assert answer.json()["healthy"] is False

    asyncio.run(story())
