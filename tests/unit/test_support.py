"""The tests' own tools: a proxy that only seems deaf, or a server that leaks, proves nothing."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from etcd_election.pb import rpc_pb2, rpc_pb2_grpc
from tests.support.cluster import EtcdCluster
from tests.support.etcd_server import PORTS, EtcdServer, free_ports
from tests.support.proxy import Mode, TcpProxy
from tests.support.raw import RawEtcd, prefix_end
from tests.support.rogue import (
    EMPTY,
    GARBAGE,
    SILENT,
    UNDECODABLE,
    Answer,
    Rogue,
    RogueGrpc,
    RogueServer,
)
from tests.support.waiting import eventually, lasting

ROOT = Path(__file__).resolve().parents[2]


# -- waiting


def test_eventually_asks_until_true() -> None:
    answers = iter([0, "", 7])
    assert eventually(lambda: next(answers)) == 7


def test_eventually_asks_once_without_time() -> None:
    asked: list[int] = []
    with pytest.raises(AssertionError, match="no luck"):
        eventually(lambda: asked.append(1), 0.0, "no luck")
    assert asked == [1]


def test_a_condition_that_lasts_was_true_all_the_while() -> None:
    answers = iter([True, False])
    began_at = time.monotonic()
    eventually(lasting(lambda: next(answers, True), 0.1), 5.0)
    assert time.monotonic() - began_at >= 0.1
    changing = itertools.cycle([True, False])
    with pytest.raises(AssertionError):
        eventually(lasting(lambda: next(changing), 0.001), 0.1)


# -- the proxy


class Echo:
    """A server that sends back what it gets, and knows when a client has gone."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.got = bytearray()
        self.ended = threading.Event()
        threading.Thread(target=self.run, daemon=True).start()

    def run(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.echo, args=(connection,), daemon=True).start()

    def echo(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while chunk := connection.recv(1 << 16):
                self.got += chunk
                connection.sendall(chunk)
        self.ended.set()


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    with contextlib.suppress(OSError):
        server.listener.shutdown(socket.SHUT_RDWR)
    server.listener.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[TcpProxy]:
    with TcpProxy(echo.endpoint) as started:
        yield started


def connect(proxy: TcpProxy) -> socket.socket:
    host, _, port = proxy.endpoint.partition(":")
    return socket.create_connection((host, int(port)), timeout=5.0)


def receive(connection: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size and (chunk := connection.recv(size - len(received))):
        received += chunk
    return received


def assert_silent(connection: socket.socket) -> None:
    connection.settimeout(0.1)
    with pytest.raises(TimeoutError):
        connection.recv(1)
    connection.settimeout(5.0)


def test_the_proxy_passes_bytes_both_ways(proxy: TcpProxy) -> None:
    with connect(proxy) as client:
        client.sendall(b"hello")
        assert receive(client, 5) == b"hello"
        assert (proxy.accepted, proxy.open_connections) == (1, 1)
        eventually(lambda: (proxy.to_server, proxy.to_client) == (5, 5))
    eventually(lambda: proxy.open_connections == 0)


def test_the_proxy_passes_more_than_all_buffers_hold(proxy: TcpProxy) -> None:
    sent = os.urandom(1 << 20) * 8
    with connect(proxy) as client:
        threading.Thread(target=client.sendall, args=(sent,), daemon=True).start()
        assert receive(client, len(sent)) == sent


def test_the_proxy_passes_a_half_close(proxy: TcpProxy, echo: Echo) -> None:
    with connect(proxy) as client:
        client.sendall(b"last words")
        client.shutdown(socket.SHUT_WR)
        assert receive(client, 100) == b"last words"
        assert echo.ended.wait(5.0)


def test_deaf_to_the_client_holds_what_it_sends(proxy: TcpProxy, echo: Echo) -> None:
    with connect(proxy) as client:
        client.sendall(b"a")
        assert receive(client, 1) == b"a"
        proxy.mode = Mode.DEAF_TO_CLIENT
        client.sendall(b"b")
        assert_silent(client)
        assert echo.got == b"a"
        proxy.mode = Mode.PASS
        assert receive(client, 1) == b"b"


def test_deaf_to_the_server_holds_what_it_answers(proxy: TcpProxy, echo: Echo) -> None:
    with connect(proxy) as client:
        client.sendall(b"a")
        assert receive(client, 1) == b"a"
        proxy.mode = Mode.DEAF_TO_SERVER
        client.sendall(b"b")
        eventually(lambda: echo.got == b"ab")
        assert_silent(client)
        proxy.mode = Mode.PASS
        assert receive(client, 1) == b"b"


def test_deaf_tells_nobody_of_an_end(proxy: TcpProxy, echo: Echo) -> None:
    with connect(proxy) as client:
        client.sendall(b"a")
        assert receive(client, 1) == b"a"
        proxy.mode = Mode.DEAF
    assert not echo.ended.wait(0.1)
    assert proxy.open_connections == 1
    proxy.mode = Mode.PASS
    assert echo.ended.wait(5.0)


def test_deaf_takes_new_connections(proxy: TcpProxy, echo: Echo) -> None:
    proxy.mode = Mode.DEAF
    with connect(proxy) as client:
        client.sendall(b"a")
        assert_silent(client)
        assert echo.got == b""
        proxy.mode = Mode.PASS
        assert receive(client, 1) == b"a"


def test_refuse_is_for_new_connections_only(proxy: TcpProxy) -> None:
    with connect(proxy) as client:
        client.sendall(b"a")
        assert receive(client, 1) == b"a"
        proxy.mode = Mode.REFUSE
        with pytest.raises(ConnectionRefusedError):
            connect(proxy)
        client.sendall(b"b")
        assert receive(client, 1) == b"b"
    proxy.mode = Mode.PASS
    with connect(proxy) as client:
        client.sendall(b"c")
        assert receive(client, 1) == b"c"


def test_delay_is_late_both_ways_and_keeps_the_order(proxy: TcpProxy) -> None:
    with connect(proxy) as client:
        proxy.delay = 0.1
        proxy.mode = Mode.DELAY
        sent_at = time.monotonic()
        client.sendall(b"a")
        assert receive(client, 1) == b"a"
        assert time.monotonic() - sent_at >= 0.2
        client.sendall(b"b")
        eventually(lambda: proxy.to_server == 2)
        proxy.mode = Mode.PASS
        client.sendall(b"c")
        assert receive(client, 2) == b"bc"


def test_delay_passes_an_end_late(proxy: TcpProxy, echo: Echo) -> None:
    proxy.delay = 0.1
    proxy.mode = Mode.DELAY
    with connect(proxy) as client:
        client.sendall(b"a")
        client.shutdown(socket.SHUT_WR)
        assert receive(client, 2) == b"a"
    assert echo.ended.wait(5.0)
    eventually(lambda: proxy.open_connections == 0)


def test_stale_is_for_open_connections_and_for_ever(proxy: TcpProxy, echo: Echo) -> None:
    with connect(proxy) as old:
        old.sendall(b"a")
        assert receive(old, 1) == b"a"
        proxy.mode = Mode.STALE
        old.sendall(b"b")
        assert_silent(old)
        with connect(proxy) as new:
            new.sendall(b"c")
            assert receive(new, 1) == b"c"
            proxy.mode = Mode.PASS
            with pytest.raises(ConnectionResetError):
                old.recv(1)
            new.sendall(b"d")
            assert receive(new, 1) == b"d"
    assert echo.got == b"acd"


def test_reset_reaches_both_ends(proxy: TcpProxy, echo: Echo) -> None:
    with connect(proxy) as client:
        client.sendall(b"a")
        assert receive(client, 1) == b"a"
        assert proxy.reset() == 1
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        assert echo.ended.wait(5.0)
    assert proxy.open_connections == 0


def test_cut_refuses_and_resets(proxy: TcpProxy) -> None:
    with connect(proxy) as client:
        eventually(lambda: proxy.open_connections == 1)
        assert proxy.cut() == 1
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        with pytest.raises(ConnectionRefusedError):
            connect(proxy)


def test_a_server_that_is_down_looks_like_a_reset(echo: Echo) -> None:
    (nobody,) = free_ports(1)
    with TcpProxy(f"127.0.0.1:{nobody}") as proxy:
        # It may come before connect() has returned.
        with pytest.raises(ConnectionResetError), connect(proxy) as client:
            client.recv(1)
        eventually(lambda: proxy.open_connections == 0)


def test_a_closed_proxy_leaves_nothing(echo: Echo) -> None:
    proxy = TcpProxy(echo.endpoint)
    name = f"tcp-proxy-{proxy.endpoint.partition(':')[2]}"
    assert name in {thread.name for thread in threading.enumerate()}
    with connect(proxy):
        proxy.close()
        proxy.close()
    assert name not in {thread.name for thread in threading.enumerate()}


# -- servers that misbehave


def connect_to(endpoint: str) -> socket.socket:
    host, _, port = endpoint.partition(":")
    return socket.create_connection((host, int(port)), timeout=5.0)


def test_a_silent_rogue_says_nothing() -> None:
    with RogueServer(Rogue.SILENT) as rogue, connect_to(rogue.endpoint) as client:
        client.sendall(b"anybody?")
        assert_silent(client)
        assert rogue.accepted == 1


def test_a_garbage_rogue_says_garbage() -> None:
    with RogueServer(Rogue.GARBAGE) as rogue, connect_to(rogue.endpoint) as client:
        assert receive(client, len(GARBAGE)) == GARBAGE
        assert_silent(client)


def test_a_closing_rogue_closes() -> None:
    with RogueServer(Rogue.CLOSING) as rogue, connect_to(rogue.endpoint) as client:
        assert client.recv(1) == b""


@contextlib.contextmanager
def kv_of(rogue: RogueGrpc) -> Iterator[rpc_pb2_grpc.KVStub]:
    with grpc.insecure_channel(rogue.endpoint) as channel:
        yield rpc_pb2_grpc.KVStub(channel)


REQUEST = rpc_pb2.RangeRequest(key=b"k")


def test_a_rogue_answers_every_method_alike() -> None:
    with RogueGrpc(EMPTY) as rogue, kv_of(rogue) as kv:
        assert kv.Range(REQUEST, timeout=5.0) == rpc_pb2.RangeResponse()
        assert rogue.calls == ["/etcdserverpb.KV/Range"]


def test_a_rogue_answers_undecodable_bytes() -> None:
    with RogueGrpc(UNDECODABLE) as rogue, kv_of(rogue) as kv:
        with pytest.raises(grpc.RpcError) as caught:
            kv.Range(REQUEST, timeout=5.0)
        assert caught.value.code() is grpc.StatusCode.INTERNAL


def test_a_rogue_answers_an_error_to_one_method() -> None:
    with RogueGrpc(EMPTY) as rogue, kv_of(rogue) as kv:
        refusal = Answer(code=grpc.StatusCode.UNKNOWN, details="etcdserver: no")
        rogue.answers["/etcdserverpb.KV/Put"] = refusal
        kv.Range(REQUEST, timeout=5.0)
        with pytest.raises(grpc.RpcError) as caught:
            kv.Put(rpc_pb2.PutRequest(key=b"k"), timeout=5.0)
        assert caught.value.code() is grpc.StatusCode.UNKNOWN
        assert caught.value.details() == "etcdserver: no"


def test_a_rogue_says_nothing_until_it_is_closed() -> None:
    with RogueGrpc(SILENT) as rogue, kv_of(rogue) as kv:
        with pytest.raises(grpc.RpcError) as caught:
            kv.Range(REQUEST, timeout=0.2)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        call = kv.Range.future(REQUEST)
        eventually(lambda: len(rogue.calls) == 2)
        rogue.close()
        assert call.exception(timeout=5.0) is not None


def test_a_rogue_streams_an_answer_per_request() -> None:
    with RogueGrpc(EMPTY) as rogue, grpc.insecure_channel(rogue.endpoint) as channel:
        requests = [rpc_pb2.LeaseKeepAliveRequest(ID=1), rpc_pb2.LeaseKeepAliveRequest(ID=2)]
        lease = rpc_pb2_grpc.LeaseStub(channel)
        answers = list(lease.LeaseKeepAlive(iter(requests), timeout=5.0))
        assert answers == [rpc_pb2.LeaseKeepAliveResponse()] * 2


# -- etcd


def test_free_ports_are_distinct_and_out_of_the_way() -> None:
    ports = free_ports(5)
    assert len(set(ports)) == 5
    assert all(port in PORTS for port in ports)


@pytest.mark.parametrize(
    ("prefix", "end"),
    [(b"a", b"b"), (b"a/", b"a0"), (b"a\xff", b"b"), (b"\xff\xff", b"\0"), (b"", b"\0")],
)
def test_prefix_end(prefix: bytes, end: bytes) -> None:
    assert prefix_end(prefix) == end


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # Ended, but not everywhere does somebody take note of it (a container's first process).
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


def test_an_etcd_keeps_data_and_port_over_a_restart(etcd_binary: str) -> None:
    with EtcdServer(etcd_binary) as server:
        endpoint, pid = server.endpoint, server.pid
        with RawEtcd(endpoint) as raw:
            raw.put("k", "v")
        server.restart()
        assert not exists(pid)
        assert server.endpoint == endpoint
        with RawEtcd(endpoint) as raw:
            assert [pair.value for pair in raw.range("k")] == [b"v"]
        server.stop()
        assert not server.running
        server.start()
        folder, pid = server.folder, server.pid
    assert not exists(pid)
    assert not folder.exists()


def test_a_paused_etcd_is_silent_and_comes_back(etcd_binary: str) -> None:
    with EtcdServer(etcd_binary) as server, RawEtcd(server.endpoint) as raw:
        raw.put("k", "v")
        server.pause()
        with pytest.raises(grpc.RpcError) as caught:
            raw.kv.Range(REQUEST, timeout=0.2)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        server.resume()
        assert raw.get("k") is not None
        server.pause()
        server.kill()
        assert not server.running


def test_a_killed_etcd_is_started_from_any_thread(etcd_binary: str) -> None:
    with EtcdServer(etcd_binary) as server:
        server.kill()
        thread = threading.Thread(target=server.start)
        thread.start()
        thread.join()
        # The thread that started it is gone: it must not have taken the server with it.
        with RawEtcd(server.endpoint) as raw:
            raw.put("k", "v")
            assert server.running


def test_an_etcd_that_ends_at_once_is_an_error_with_its_log(etcd_binary: str) -> None:
    with pytest.raises(RuntimeError, match=r"has ended:\n.*\S"):
        EtcdServer(etcd_binary, args=["--no-such-flag"]).__enter__()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_an_etcd_ends_with_its_tests_however_they_end(etcd_binary: str) -> None:
    code = (
        "import sys; from tests.support.etcd_server import EtcdServer\n"
        f"server = EtcdServer({etcd_binary!r}); server.start()\n"
        "print(server.pid, server.folder, flush=True); sys.stdin.read()"
    )
    tests = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with tests:
        assert tests.stdout is not None
        pid, folder = tests.stdout.readline().split()
        assert exists(int(pid))
        tests.send_signal(signal.SIGKILL)
    eventually(lambda: not exists(int(pid)), message="etcd outlived the one who started it")
    with EtcdServer(etcd_binary):
        assert not Path(folder).exists(), "data of a killed process is not swept"


def test_raw_sees_and_tidies_up(etcd_binary: str) -> None:
    with EtcdServer(etcd_binary) as server, RawEtcd(server.endpoint) as other:
        with RawEtcd(server.endpoint) as raw:
            first, second = raw.grant(), raw.grant(lease=0x1234)
            assert second == 0x1234
            assert raw.lease_leases() == {first, second}
            assert raw.time_to_live(first) > 0
            assert raw.keep_alive(first) == 60
            won = raw.campaign("e", first, "one").result(timeout=5.0)
            assert won.leader.key == b"e/%x" % first
            waiting = raw.campaign("e", second, "two")
            eventually(lambda: len(raw.candidates("e")) == 2)
            assert raw.leader("e").value == b"one"
            eventually(lambda: server.open_calls("Campaign") == 1)
            raw.resign(won.leader)
            assert waiting.result(timeout=5.0).leader.key == b"e/1234"
            eventually(lambda: server.open_calls("Campaign") == 0)
            raw.compact()
            raw.put("k", "v", lease=first)
            assert [pair.key for pair in raw.range("", prefix=True)] == [b"e/1234", b"k"]
            raw.revoke(first)
            assert raw.keep_alive(first) == 0
            assert raw.time_to_live(first) == -1
            assert raw.delete("e/", prefix=True) == 1
            raw.grant()
        assert other.lease_leases() == set()


def test_a_cluster_goes_on_without_a_minority(etcd_binary: str) -> None:
    with EtcdCluster(etcd_binary, 3) as cluster:
        assert len(set(cluster.endpoints)) == 3
        leader = cluster.raft_leader()
        assert leader is not None
        cluster.members[leader].kill()
        others = [member for i, member in enumerate(cluster.members) if i != leader]
        eventually(lambda: all(member.serves for member in others), 20.0)
        assert cluster.raft_leader() not in (None, leader)
        with RawEtcd(others[0].endpoint) as raw:
            raw.put("k", "v")
        cluster.members[leader].launch()
        eventually(lambda: cluster.members[leader].serves, 20.0)
        with RawEtcd(cluster.endpoints[leader]) as raw:
            assert raw.get("k") is not None


def test_a_cluster_without_a_quorum_does_not_serve(etcd_binary: str) -> None:
    with EtcdCluster(etcd_binary, 3) as cluster:
        for member in cluster.members[:2]:
            member.pause()
        eventually(lambda: not cluster.members[2].serves, 20.0)
        for member in cluster.members[:2]:
            member.resume()
        eventually(lambda: all(member.serves for member in cluster.members), 20.0)
