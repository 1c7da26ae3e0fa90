"""What is found out apart from the calls, and for which names."""

from __future__ import annotations

import socket
import threading

import pytest

from etcd_election._core.effects import LookUp, Probe
from etcd_election._core.endpoints import Endpoint, parse
from etcd_election._core.link import Link
from etcd_election._core.method import Lane
from etcd_election._core.status import Fault
from etcd_election._io import asides
from etcd_election._io.asides import begin, hosts_to_look_up
from etcd_election._io.options import channel_options
from tests.support.waiting import eventually

PROXIES = ("grpc_proxy", "https_proxy", "http_proxy")


@pytest.fixture(autouse=True)
def without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)


def test_names_are_looked_up_and_numbers_are_not() -> None:
    endpoints = parse("etcd:1,10.0.0.1:1,[::1]:1,localhost:1")
    assert hosts_to_look_up(endpoints, ()) == ["etcd", "localhost"]


@pytest.mark.parametrize("variable", PROXIES)
def test_names_are_left_to_a_proxy_where_one_is_used(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "http://proxy:3128")
    endpoints = parse("etcd:1,localhost:1")
    assert hosts_to_look_up(endpoints, ()) == ["localhost"]
    assert hosts_to_look_up(endpoints, (("grpc.enable_http_proxy", 0),)) == ["etcd", "localhost"]


def test_addresses_come_once_each_and_without_those_of_one_link(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = ["10.0.0.2", "fe80::1%eth0", "10.0.0.1", "10.0.0.2"]

    def getaddrinfo(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [(0, 0, 0, "", (address, 0)) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert asides.addresses("etcd") == ["10.0.0.2", "10.0.0.1"]


def test_a_look_up_that_hangs_keeps_no_other_back(monkeypatch: pytest.MonkeyPatch) -> None:
    hangs = threading.Event()

    def addresses(host: str) -> list[str]:
        if host == "slow":
            hangs.wait(10)
            raise socket.gaierror(socket.EAI_AGAIN, "nobody answers")
        return ["10.0.0.1"]

    monkeypatch.setattr(asides, "addresses", addresses)
    link = Link(parse("slow:1,fast:1"), hosts=["slow", "fast"])
    link.names.due(0.0)
    begin(link, LookUp())
    eventually(lambda: link.endpoints[1].address == "10.0.0.1")
    assert link.names.outstanding
    hangs.set()
    eventually(lambda: not link.names.outstanding)
    assert link.endpoints[0].address is None


@pytest.mark.parametrize("host", ["localhost", "no-such-host.invalid", "x" * 70 + ".example"])
def test_a_look_up_ends_whatever_it_brings(host: str) -> None:
    link = Link(parse(f"{host}:1"), hosts=[host])
    link.names.due(0.0)
    begin(link, LookUp())
    eventually(lambda: not link.names.outstanding, 30.0)


def test_where_no_thread_can_be_started_nothing_is_raised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    link = Link(parse("etcd:1"), hosts=["etcd"])
    begin(link, LookUp())
    begin(link, Probe(0))


@pytest.mark.parametrize("tls", [True, False])
@pytest.mark.parametrize(
    "says", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\0\0", b"\0\0\0\7\0\0\0\0\0", None]
)
def test_a_probe_takes_nothing_for_an_answer_that_is_none(tls: bool, says: bytes | None) -> None:
    """None: nothing is said, and the connection stays open."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = Endpoint("127.0.0.1", server.getsockname()[1], tls)
        accepted: list[socket.socket] = []

        def serve() -> None:
            connection, _ = server.accept()
            accepted.append(connection)
            if says is not None:
                connection.sendall(says)
                connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        assert asides._probe(endpoint) is None
        thread.join()
        accepted[0].close()


def test_a_probe_of_nobody_finds_nothing() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        assert asides._probe(Endpoint("127.0.0.1", reserved.getsockname()[1])) is None


@pytest.mark.parametrize(
    ("tls", "says", "fault"),
    [
        (True, b"\0\0\6\4\0\0\0\0\0\0\5\0\0\x40\0", Fault.WANTS_PLAIN),
        (False, b"\x16\3\3", Fault.WANTS_TLS),
        (False, b"\x15\3\3\0\2\2\x28", Fault.WANTS_TLS),
    ],
)
def test_a_probe_knows_the_other_language(tls: bool, says: bytes, fault: Fault) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                connection.sendall(says)

        thread = threading.Thread(target=serve)
        thread.start()
        assert asides._probe(Endpoint("localhost", server.getsockname()[1], tls)) is fault
        thread.join()


# What channels are told of names


def options(endpoint: Endpoint, server_name: str | None = None) -> dict[str, object]:
    return dict(channel_options(endpoint, Lane.CALLS, (), server_name))


def test_a_name_that_is_dialled_by_its_address_is_kept() -> None:
    told = options(Endpoint("etcd", 2379, tls=True, address="10.0.0.1"))
    assert told["grpc.default_authority"] == "etcd:2379"
    assert "grpc.default_authority" not in options(Endpoint("etcd", 2379, tls=True))


def test_the_servers_name_stands_alone() -> None:
    """Beside another authority, gRPC refuses every call."""
    told = options(Endpoint("etcd", 2379, tls=True, address="10.0.0.1"), "other")
    assert told["grpc.ssl_target_name_override"] == "other"
    assert "grpc.default_authority" not in told
    assert "grpc.ssl_target_name_override" not in options(Endpoint("etcd", 2379), "other")
