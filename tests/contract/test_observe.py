"""Observing: the latest leader is never missed, order never goes back, nothing ends silently."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Iterator

import pytest

from etcd_election import (
    ClientClosed,
    ElectionClient,
    Leader,
    Observer,
    OperationTimeout,
)
from tests.support.etcd_server import EtcdServer
from tests.support.fronts import Front
from tests.support.proxy import Mode, TcpProxy
from tests.support.raw import RawEtcd
from tests.support.waiting import eventually

from .conftest import PATIENCE, Background, MakeClient


@pytest.fixture
def observer(make_client: MakeClient) -> Iterator[Observer[Leader | None]]:
    """Observes this test's election, vacancies too, with a client of its own."""
    with make_client().observe(vacancies=True) as observing:
        yield observing


@pytest.mark.smoke
def test_an_observer_sees_leaders_their_values_and_vacancies_in_order(
    client: ElectionClient, observer: Observer[Leader | None]
) -> None:
    assert observer.next(PATIENCE) is None
    tokens = []
    for term in ("1", "2"):
        with client.campaign(term) as leadership:
            seen = observer.next(PATIENCE)
            assert seen is not None
            assert (seen.text, seen.token, seen.key) == (term, leadership.token, leadership.key)
            leadership.proclaim(term + "+")
            changed = observer.next(PATIENCE)
            assert changed is not None
            assert (changed.text, changed.token) == (term + "+", leadership.token)
            tokens.append(leadership.token)
        assert observer.next(PATIENCE) is None
    assert tokens == sorted(tokens)
    with pytest.raises(OperationTimeout):
        observer.next(0.05)


def test_without_vacancies_only_leaders_are_told(
    make_client: MakeClient, client: ElectionClient
) -> None:
    observing = make_client().observe()
    with pytest.raises(OperationTimeout):
        observing.next(0.2)
    for term in ("1", "2"):
        with client.campaign(term):
            assert observing.next(PATIENCE).text == term
    assert "Observer" in repr(observing)


def test_iteration_ends_when_the_client_is_closed(
    make_client: MakeClient, client: ElectionClient, background: Background
) -> None:
    observing = make_client()
    observer = observing.observe()
    reading = background(list, observer)
    client.campaign("v")
    observing.close()
    # The leader may or may not have been read before the end.
    assert len(reading.result(PATIENCE)) <= 1
    with pytest.raises(ClientClosed):
        observer.next()
    assert list(observer) == []


def test_iteration_ends_when_the_observer_is_closed_and_the_client_goes_on(
    client: ElectionClient, background: Background
) -> None:
    client.campaign("v")
    with client.observe() as observer:
        assert observer.next(PATIENCE).text == "v"
        reading = background(list, observer)
    assert reading.result(PATIENCE) == []
    observer.close()
    assert client.leader().text == "v"
    assert client.observe().next(PATIENCE).text == "v"


def test_a_slow_reader_sees_the_latest_and_nothing_twice(
    client: ElectionClient, observer: Observer[Leader | None]
) -> None:
    for term in range(20):
        client.campaign(str(term)).resign()
    last = client.campaign("last")
    seen: list[Leader | None] = []
    eventually(
        lambda: seen.append(observer.next(PATIENCE)) or (seen[-1] and seen[-1].text == "last"),
        PATIENCE,
    )
    tokens = [leader.token for leader in seen if leader]
    assert tokens == sorted(set(tokens))
    assert tokens[-1] == last.token
    with pytest.raises(OperationTimeout):
        observer.next(0.1)


def test_fast_handovers_never_go_back_and_end_with_the_last_leader(
    make_client: MakeClient, background: Background
) -> None:
    """The server's own Observe skips leaders here, which is no harm, and reports some late."""
    watching = make_client()
    observers = [watching.observe(vacancies=index % 2 == 0) for index in range(6)]
    clients = [make_client(ttl=15) for _ in range(4)]

    def lead_often(client: ElectionClient) -> None:
        for _ in range(25):
            with client.campaign("v") as leadership:
                leadership.proclaim("w")

    terms = [background(lead_often, client) for client in clients]
    histories: list[list[Leader | None]] = [[] for _ in observers]

    def read(index: int) -> None:
        for leader in observers[index]:
            histories[index].append(leader)
            if leader and leader.text == "last":
                return

    readers = [background(read, index) for index in range(len(observers))]
    for term in terms:
        term.result(60)
    clients[0].campaign("last")
    for reader in readers:
        reader.result(PATIENCE)
    for history in histories:
        order = [(leader.token, leader.mod_revision) for leader in history if leader]
        assert order == sorted(set(order))
        for before, after in itertools.pairwise(history):
            assert before != after


def test_an_observer_goes_on_after_a_compaction(
    client: ElectionClient, observer: Observer[Leader | None], raw: RawEtcd
) -> None:
    assert observer.next(PATIENCE) is None
    for term in ("1", "2", "3"):
        with client.campaign(term):
            seen = observer.next(PATIENCE)
            assert seen is not None
            assert seen.text == term
            raw.compact()
        assert observer.next(PATIENCE) is None
        raw.compact()


@pytest.mark.parametrize("graceful", [False, True])
def test_an_observer_goes_on_after_a_restart(
    front: Front, own_server: EtcdServer, *, graceful: bool
) -> None:
    """At its shutdown the server ends an Observe with status OK: that is not the end."""
    with front.Etcd(own_server.endpoint) as connection:
        leading = front.ElectionClient(connection, "x", ttl=30)
        observer = front.ElectionClient(connection, "x").observe()
        leadership = leading.campaign("1")
        assert observer.next(PATIENCE).text == "1"
        own_server.restart(graceful=graceful)
        leadership.proclaim("2", timeout=PATIENCE)
        assert observer.next(PATIENCE).text == "2"
        leadership.resign()
        leading.campaign("3")
        assert observer.next(PATIENCE).text == "3"


@pytest.mark.real_etcd
def test_an_observer_goes_on_after_its_link_was_deaf(
    front: Front, server: EtcdServer, client: ElectionClient
) -> None:
    with (
        TcpProxy(server.endpoint) as proxy,
        front.ElectionClient(proxy.endpoint, client.name) as far,
    ):
        observer = far.observe(vacancies=True)
        assert observer.next(PATIENCE) is None
        proxy.mode = Mode.DEAF
        client.campaign("1")
        with pytest.raises(OperationTimeout):
            observer.next(1.0)
        proxy.mode = Mode.PASS
        seen = observer.next(PATIENCE)
        assert seen is not None
        assert seen.text == "1"


@pytest.mark.real_etcd
def test_all_observers_of_one_election_share_one_stream(
    server: EtcdServer, make_client: MakeClient, client: ElectionClient
) -> None:
    """Sixty Observes of one election and ordinary hand-overs make the server hang."""
    observers = [make_client().observe() for _ in range(60)]
    for term in ("1", "2", "3"):
        with client.campaign(term):
            for observer in observers:
                assert observer.next(PATIENCE).text == term
    assert server.open_calls("Observe") == 1


@pytest.mark.real_etcd
def test_an_observer_that_is_dropped_unclosed_is_followed_no_more(
    server: EtcdServer, client: ElectionClient
) -> None:
    observer = client.observe(vacancies=True)
    assert observer.next(PATIENCE) is None
    eventually(lambda: server.open_calls("Observe") == 1, PATIENCE)
    del observer
    gc.collect()
    eventually(lambda: server.open_calls("Observe") == 0, PATIENCE)
