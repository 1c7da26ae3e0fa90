"""TLS and mutual TLS: what works, and what is said where it does not."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from etcd_election import TLS, ElectionClient, Etcd, LostReason, Unavailable
from tests.support.authority import Authority, Pair
from tests.support.etcd_server import EtcdServer, ServerTLS
from tests.support.events import queue_of
from tests.support.fronts import Front
from tests.support.raw import RawEtcd
from tests.support.waiting import eventually

from .conftest import PATIENCE, Background

AT_ONCE = 1.5
"""Far below the connection's timeout of 5 s; a noisy machine has all of it."""


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Whom both sides trust."""
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A CA whom nobody trusts."""
    return Authority(tmp_path_factory.mktemp("stranger"))


@pytest.fixture(scope="module")
def client_pair(authority: Authority) -> Pair:
    """A good certificate for a client."""
    return authority.issue("client.test", common_name="client")


@pytest.fixture(scope="module")
def secure(etcd_binary: str, authority: Authority) -> Iterator[EtcdServer]:
    """An etcd that shows a certificate and asks for none."""
    with EtcdServer(etcd_binary, tls=authority.serve()) as started:
        yield started


@pytest.fixture(scope="module")
def mutual(etcd_binary: str, authority: Authority) -> Iterator[EtcdServer]:
    """An etcd that asks for client certificates."""
    with EtcdServer(etcd_binary, tls=authority.serve(client_ca=authority)) as started:
        yield started


def works(etcd: Etcd, front: Front, name: str) -> None:
    """A whole election over a connection, which is closed."""
    with etcd, front.ElectionClient(etcd, name) as client:
        with client.campaign("v") as leadership:
            assert client.leader().token == leadership.token
        assert leadership.lost is LostReason.RESIGNED


def candidates(client: ElectionClient) -> int:
    """How many there are; 0 while nobody says, for gRPC tries again after up to a second only."""
    try:
        return len(client.candidates())
    except Unavailable:
        return 0


# What works


@pytest.mark.parametrize("by", ["path", "text", "bytes"])
@pytest.mark.parametrize("scheme", ["", "https://"])
def test_etcd_is_trusted_by_its_ca(
    front: Front, secure: EtcdServer, authority: Authority, election_name: str, by: str, scheme: str
) -> None:
    path = authority.path
    ca: Any = {"path": path, "text": str(path), "bytes": authority.pem}[by]
    works(front.Etcd(scheme + secure.endpoint, tls=TLS(ca)), front, election_name)


@pytest.mark.parametrize("via", ["service", "kv"])
def test_a_client_shows_its_certificate(
    front: Front,
    mutual: EtcdServer,
    authority: Authority,
    client_pair: Pair,
    election_name: str,
    background: Background,
    via: str,
) -> None:
    tls = TLS(authority.path, authority.write(client_pair.cert), authority.write(client_pair.key))
    with (
        front.Etcd(mutual.endpoint, tls=tls) as etcd,
        front.ElectionClient(etcd, election_name, via=via) as first,
        front.ElectionClient(etcd, election_name, via=via) as second,
        second.observe() as observer,
    ):
        leadership = first.campaign("first")
        assert observer.next(PATIENCE).text == "first"
        waiting = background(second.campaign, "second")
        eventually(lambda: len(first.candidates()) == 2, PATIENCE)
        leadership.resign()
        assert waiting.result(PATIENCE).held
        assert observer.next(PATIENCE).text == "second"


def test_certificate_and_key_may_be_bytes(
    front: Front, mutual: EtcdServer, authority: Authority, client_pair: Pair, election_name: str
) -> None:
    tls = TLS(authority.pem, client_pair.cert, client_pair.key)
    works(front.Etcd(mutual.endpoint, tls=tls), front, election_name)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_certificate_is_for_the_endpoint_as_it_was_given(
    front: Front, etcd_binary: str, authority: Authority, host: str
) -> None:
    with EtcdServer(etcd_binary, tls=authority.serve(authority.issue(host))) as server:
        other = {"127.0.0.1": "localhost", "localhost": "127.0.0.1"}[host]
        tls = TLS(authority.pem)
        works(front.Etcd(f"{host}:{server.port}", tls=tls), front, "x")
        with (
            pytest.raises(Unavailable, match="for other names"),
            front.Etcd(f"{other}:{server.port}", tls=tls),
        ):
            pass


def test_server_name_takes_the_place_of_the_endpoint(
    front: Front, etcd_binary: str, authority: Authority
) -> None:
    with EtcdServer(etcd_binary, tls=authority.serve(authority.issue("etcd.internal"))) as server:
        for host in ("127.0.0.1", "localhost"):
            tls = TLS(authority.pem, server_name="etcd.internal")
            works(front.Etcd(f"{host}:{server.port}", tls=tls), front, host)
        with (
            pytest.raises(Unavailable, match="for other names"),
            front.Etcd(server.endpoint, tls=TLS(authority.pem)),
        ):
            pass


def test_the_systems_roots_are_what_python_knows_of(
    front: Front,
    secure: EtcdServer,
    authority: Authority,
    election_name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    works(front.Etcd(f"https://{secure.endpoint}"), front, election_name)
    works(front.Etcd(secure.endpoint, tls=TLS()), front, election_name)


def test_endpoints_may_be_mixed(
    front: Front, secure: EtcdServer, server: EtcdServer, authority: Authority
) -> None:
    """Which of them is plain is up to each; here they are even different clusters."""
    for endpoints in (
        [f"http://{server.endpoint}", secure.endpoint],
        [secure.endpoint, f"http://{server.endpoint}"],
    ):
        with front.Etcd(endpoints, tls=TLS(authority.pem)):
            pass


# What does not work, and why


GRPC = "failed to connect to all addresses"


@pytest.fixture(scope="module")
def odd(
    etcd_binary: str, authority: Authority, stranger: Authority
) -> Iterator[Callable[[str], EtcdServer]]:
    """Servers with something wrong about them, each started once."""
    kinds: dict[str, Callable[[], ServerTLS | None]] = {
        "plain": lambda: None,
        "expired": lambda: authority.serve(authority.issue(days=-1)),
        "early": lambda: authority.serve(authority.early()),
        "elsewhere": lambda: authority.serve(authority.issue("elsewhere.test")),
        "good": authority.serve,
        "mutual": lambda: authority.serve(client_ca=authority),
        "old": lambda: authority.serve(client_ca=authority),
    }
    started: dict[str, EtcdServer] = {}

    def get(kind: str) -> EtcdServer:
        if kind not in started:
            args = ["--tls-max-version=TLS1.2"] if kind == "old" else []
            server = EtcdServer(etcd_binary, tls=kinds[kind](), args=args)
            started[kind] = server
            server.start()
        return started[kind]

    yield get
    for server in started.values():
        server.close()


FAULTS = {
    "wrong CA": ("good", "stranger's CA", "not issued by a CA that is trusted here"),
    "system's roots": ("good", "https", "not issued by a CA that is trusted here"),
    "wrong name": ("elsewhere", "CA", "for other names than this endpoint's"),
    "expired": ("expired", "CA", "etcd's certificate has expired"),
    "early": ("early", "CA", "etcd's certificate is not valid yet"),
    "no client certificate": ("mutual", "CA", "asks for a client certificate, and none was given"),
    "expired client certificate": ("mutual", "expired", "client certificate: it has expired"),
    "stranger's client certificate": ("mutual", "stranger's", "does not accept the client cert"),
    "plain client": ("good", "plain", "etcd speaks TLS here"),
    "plain client, mutual": ("mutual", "plain", "etcd speaks TLS here"),
    "plain server": ("plain", "CA", "etcd speaks plain text here"),
    "plain server, mutual": ("plain", "mutual", "etcd speaks plain text here"),
    # Up to TLS 1.2 the server looks at the certificate within the handshake.
    "TLS 1.2, none": ("old", "CA", "a client certificate, and none was given"),
    "TLS 1.2, expired": ("old", "expired", "client certificate: it has expired"),
    "TLS 1.2, stranger's": ("old", "stranger's", "does not accept the client certificate"),
}


def connect(
    front: Front, endpoint: str, how: str, authority: Authority, stranger: Authority
) -> Etcd:
    if how == "plain":
        return front.Etcd(endpoint)
    if how == "https":
        return front.Etcd(f"https://{endpoint}")
    if how == "stranger's CA":
        return front.Etcd(endpoint, tls=TLS(stranger.pem))
    pair = {
        "CA": None,
        "mutual": authority.issue("c"),
        "expired": authority.issue("c", days=-1),
        "stranger's": stranger.issue("c"),
    }[how]
    if pair is None:
        return front.Etcd(endpoint, tls=TLS(authority.pem))
    return front.Etcd(endpoint, tls=TLS(authority.pem, pair.cert, pair.key))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_at_once(
    front: Front,
    odd: Callable[[str], EtcdServer],
    authority: Authority,
    stranger: Authority,
    fault: str,
) -> None:
    kind, how, words = FAULTS[fault]
    if kind == "old" and odd("good").version_info < (3, 6):
        pytest.skip("this etcd cannot be told not to speak TLS 1.3")
    endpoint = odd(kind).endpoint
    etcd = connect(front, endpoint, how, authority, stranger)
    client = front.ElectionClient(etcd, "x")
    calls: list[Callable[[], object]] = [
        etcd.open,
        client.leader,
        lambda: client.campaign("v"),
        lambda: client.campaign("v", timeout=0),
    ]
    for call in calls:
        began_at = time.monotonic()
        with pytest.raises(Unavailable, match=re.escape(words)) as caught:
            call()
        assert time.monotonic() - began_at < AT_ONCE
        error = caught.value
        assert isinstance(error, ConnectionError)
        assert error.code is grpc.StatusCode.UNAVAILABLE
        assert GRPC in error.details
        assert len(error.attempts) == 1
        assert error.attempts[0].startswith(f"{endpoint}: ")
        assert words in error.attempts[0]
        assert not error.maybe_applied
    etcd.close()


def test_one_bad_endpoint_among_good_ones_fails_no_call(
    front: Front, secure: EtcdServer, odd: Callable[[str], EtcdServer], authority: Authority
) -> None:
    for kind in ("plain", "expired", "elsewhere"):
        endpoints = [odd(kind).endpoint, secure.endpoint]
        works(front.Etcd(endpoints, tls=TLS(authority.pem)), front, kind)


def test_with_all_endpoints_bad_each_says_why(
    front: Front, odd: Callable[[str], EtcdServer], authority: Authority
) -> None:
    endpoints = [odd("plain").endpoint, odd("expired").endpoint, odd("elsewhere").endpoint]
    etcd = front.Etcd(endpoints, tls=TLS(authority.pem))
    began_at = time.monotonic()
    with pytest.raises(Unavailable, match="no secure connection to etcd") as caught:
        etcd.open()
    assert time.monotonic() - began_at < AT_ONCE
    words = ("speaks plain text here", "has expired", "for other names")
    for endpoint, said, attempt in zip(endpoints, words, caught.value.attempts, strict=True):
        assert attempt.startswith(f"{endpoint}: ")
        assert said in attempt
    etcd.close()


def test_with_an_endpoint_down_there_is_hope_until_the_timeout(
    front: Front, odd: Callable[[str], EtcdServer], authority: Authority
) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        down = f"127.0.0.1:{reserved.getsockname()[1]}"
        etcd = front.Etcd([odd("expired").endpoint, down], tls=TLS(authority.pem), timeout=1.0)
        began_at = time.monotonic()
        with pytest.raises(Unavailable, match=r"has expired.*; .*refused"):
            etcd.open()
        assert time.monotonic() - began_at > 0.9
        etcd.close()


BAD: dict[str, tuple[Callable[[Authority], object], type[Exception], str]] = {
    "not a TLS": (lambda _: "ca.pem", TypeError, "^tls "),
    "no file": (lambda _: TLS("/nowhere/ca.pem"), ValueError, "^ca: '/nowhere/ca.pem' cannot be"),
    "a folder": (lambda _: TLS(Path("/")), ValueError, "^ca: "),
    "no name of a file": (lambda _: TLS("\0"), ValueError, "^ca: "),
    "not PEM": (lambda _: TLS(b"certificate"), ValueError, "^ca holds no certificate"),
    "damaged": (
        lambda _: TLS(b"-----BEGIN CERTIFICATE-----\nabcd\n-----END CERTIFICATE-----\n"),
        ValueError,
        "^ca holds no certificate",
    ),
    "key for certificate": (
        lambda a: TLS(a.pem, a.issue().key, a.issue().key),
        ValueError,
        "^cert holds no certificate",
    ),
    "certificate for key": (
        lambda a: TLS(a.pem, a.issue().cert, a.issue().cert),
        ValueError,
        "^key holds no private key",
    ),
    "no key file": (
        lambda a: TLS(a.pem, a.issue().cert, "/nowhere/key.pem"),
        ValueError,
        "^key: '/nowhere/key.pem' cannot be read",
    ),
}


@pytest.mark.parametrize("bad", BAD)
def test_what_cannot_be_used_is_refused_before_anything_is_sent(
    front: Front, authority: Authority, bad: str
) -> None:
    make, kind, words = BAD[bad]
    tls: Any = make(authority)
    with pytest.raises(kind, match=words):
        front.Etcd("127.0.0.1:1", tls=tls)


def test_tls_for_endpoints_that_are_all_plain_is_refused(front: Front) -> None:
    with pytest.raises(ValueError, match=r"^endpoints: .*http://"):
        front.Etcd(["http://127.0.0.1:1", "http://127.0.0.1:2"], tls=TLS())


# Names and addresses


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Names that exist in this test only; whatever else is asked for does not."""
    known: dict[str, list[str]] = {}

    def addresses(host: str) -> list[str]:
        if host not in known:
            raise socket.gaierror(socket.EAI_NONAME, "there is no such name")
        return known[host]

    monkeypatch.setattr("etcd_election._io.asides.addresses", addresses)
    for name in ("grpc_proxy", "https_proxy", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    return known


def test_a_name_counts_for_its_addresses_and_is_kept_for_tls(
    front: Front, etcd_binary: str, authority: Authority, resolve: dict[str, list[str]]
) -> None:
    """Etcd listens on the last of them only."""
    resolve["etcd.test"] = ["127.0.0.2", "127.0.0.3", "127.0.0.1"]
    pair = authority.issue("etcd.test")
    with EtcdServer(etcd_binary, tls=authority.serve(pair)) as server:
        works(front.Etcd(f"etcd.test:{server.port}", tls=TLS(authority.pem)), front, "x")
        etcd = front.Etcd(f"etcd.test:{server.port}", tls=TLS(authority.pem), timeout=1.0)
        server.kill()
        with pytest.raises(Unavailable) as caught:
            etcd.open()
        assert [attempt.partition(": ")[0] for attempt in caught.value.attempts] == [
            f"etcd.test:{server.port} ({address})" for address in resolve["etcd.test"]
        ]
        etcd.close()


@needs_ipv6
@pytest.mark.parametrize("listens", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("first", ["127.0.0.1", "::1"])
def test_localhost_is_found_on_whichever_address_etcd_listens(
    front: Front,
    etcd_binary: str,
    authority: Authority,
    resolve: dict[str, list[str]],
    listens: str,
    first: str,
) -> None:
    resolve["localhost"] = [first, *({"127.0.0.1", "::1"} - {first})]
    pair = authority.issue("localhost")
    with EtcdServer(etcd_binary, tls=authority.serve(pair), host=listens) as server:
        works(front.Etcd(f"localhost:{server.port}", tls=TLS(authority.pem)), front, "x")


@needs_ipv6
@pytest.mark.parametrize("plain", [True, False])
def test_ipv6_addresses_are_endpoints(
    front: Front, etcd_binary: str, authority: Authority, plain: bool
) -> None:
    tls = None if plain else TLS(authority.pem)
    served = None if plain else authority.serve(authority.issue("::1"))
    with EtcdServer(etcd_binary, host="::1", tls=served) as server:
        assert server.endpoint.startswith("[::1]:")
        works(front.Etcd(server.endpoint, tls=tls), front, "x")


def test_a_name_that_moves_is_followed_while_leading(
    front: Front,
    etcd_binary: str,
    authority: Authority,
    resolve: dict[str, list[str]],
    background: Background,
) -> None:
    resolve["etcd.test"] = ["127.0.0.1"]
    tls = authority.serve(authority.issue("etcd.test", "127.0.0.2"))
    with (
        EtcdServer(etcd_binary, tls=tls) as server,
        front.Etcd(f"etcd.test:{server.port}", tls=TLS(authority.pem)) as etcd,
        front.ElectionClient(etcd, "x", ttl=15) as leader,
        front.ElectionClient(etcd, "x", ttl=15) as waiter,
    ):
        leadership = leader.campaign("leader")
        waiting = background(waiter.campaign, "waiter")
        eventually(lambda: len(leader.candidates()) == 2, PATIENCE)
        server.kill()
        resolve["etcd.test"] = ["127.0.0.2"]
        server.host = "127.0.0.2"
        server.start()
        with RawEtcd(server.endpoint, authority.credentials()) as raw:
            queue_of(raw, "x", 2)
        eventually(lambda: leader.leader().token == leadership.token, PATIENCE)
        assert leadership.held
        leadership.resign()
        assert waiting.result(PATIENCE).held


# Rotation


class Rotating:
    """An etcd and files for its clients, which an administrator replaces while they are in use."""

    def __init__(self, binary: str, folder: Path) -> None:
        (folder / "new").mkdir()
        self.old, self.new = Authority(folder), Authority(folder / "new")
        both = self.old.pem + self.new.pem
        self.server = EtcdServer(binary, tls=self.old.serve())
        assert self.server.tls is not None
        self.client_ca = self.old.write(both)
        self.server.tls = ServerTLS(self.server.tls.cert, self.server.tls.key, self.client_ca)
        pair = self.old.issue("client.test", common_name="old")
        self.ca = self.old.path
        self.cert, self.key = self.old.write(pair.cert), self.old.write(pair.key)
        self.both = both

    def replace_client(self) -> None:
        """Clients get certificates of the new CA, one file after the other."""
        pair = self.new.issue("client.test", common_name="new")
        self.old.write(pair.cert, self.cert)
        self.old.write(pair.key, self.key)

    def replace_server(self) -> None:
        """Etcd gets a certificate of the new CA, and clients are told whom to trust."""
        assert self.server.tls is not None
        self.old.write(self.both, self.ca)
        pair = self.new.issue()
        self.old.write(pair.cert, self.server.tls.cert)
        self.old.write(pair.key, self.server.tls.key)

    def raw(self) -> RawEtcd:
        """The tests' own view, with the new certificates."""
        return RawEtcd(
            self.server.endpoint,
            grpc.ssl_channel_credentials(self.both, self.key.read_bytes(), self.cert.read_bytes()),
        )


@pytest.fixture
def rotating(etcd_binary: str, tmp_path: Path) -> Iterator[Rotating]:
    made = Rotating(etcd_binary, tmp_path)
    with made.server:
        yield made


@pytest.mark.parametrize("what", ["client", "server", "both"])
def test_certificates_are_replaced_while_leading_and_waiting(
    front: Front, rotating: Rotating, background: Background, what: str
) -> None:
    """After that, the old ones are worth nothing, and every connection breaks."""
    tls = TLS(rotating.ca, rotating.cert, rotating.key)
    with (
        front.Etcd(rotating.server.endpoint, tls=tls) as etcd,
        front.ElectionClient(etcd, "x", ttl=15) as leader,
        front.ElectionClient(etcd, "x", ttl=15) as waiter,
    ):
        leadership = leader.campaign("leader")
        waiting = background(waiter.campaign, "waiter")
        eventually(lambda: len(leader.candidates()) == 2, PATIENCE)
        token = leader.candidates()[1].token
        if what != "client":
            rotating.replace_server()
        if what != "server":
            rotating.replace_client()
        assert leader.leader().token == leadership.token
        assert leader.candidates()[1].token == token, "the wait was moved"
        if what != "server":
            rotating.old.write(rotating.new.pem, rotating.client_ca)
        rotating.server.restart()
        with rotating.raw() as raw:
            queue_of(raw, "x", 2)
        eventually(lambda: leader.leader().token == leadership.token, PATIENCE)
        assert leadership.held
        assert not waiting.done()
        leadership.resign()
        assert waiting.result(PATIENCE).held


def test_a_wait_is_not_moved_and_still_wins_after_a_replacement(
    front: Front, rotating: Rotating, background: Background
) -> None:
    """Without a reconnect: the old connection lives until its last call is over."""
    tls = TLS(rotating.ca, rotating.cert, rotating.key)
    with (
        front.Etcd(rotating.server.endpoint, tls=tls) as etcd,
        front.ElectionClient(etcd, "x", ttl=5) as leader,
        front.ElectionClient(etcd, "x", ttl=5) as waiter,
    ):
        leadership = leader.campaign("leader")
        waiting = background(waiter.campaign, "waiter")
        eventually(lambda: len(leader.candidates()) == 2, PATIENCE)
        token = leader.candidates()[1].token
        rotating.replace_client()
        assert not leadership.wait_lost(3.0), "several beats on new connections"
        assert leader.candidates()[1].token == token
        leadership.resign()
        assert waiting.result(PATIENCE).token == token


def test_while_leading_or_waiting_a_fault_is_an_outage_like_any_other(
    front: Front, rotating: Rotating, background: Background
) -> None:
    tls = TLS(rotating.ca, rotating.cert, rotating.key)
    with (
        front.Etcd(rotating.server.endpoint, tls=tls) as etcd,
        front.ElectionClient(etcd, "x", ttl=30) as leader,
        front.ElectionClient(etcd, "x", ttl=30) as waiter,
    ):
        leadership = leader.campaign("leader")
        waiting = background(waiter.campaign, "waiter")
        eventually(lambda: len(leader.candidates()) == 2, PATIENCE)
        assert not leadership.wait_lost(1.0), "until the waiter has seen its key as well"
        good = rotating.server.tls
        rotating.server.kill()
        rotating.server.tls = rotating.new.serve(client_ca=rotating.old)
        rotating.server.start()
        began_at = time.monotonic()
        with pytest.raises(Unavailable, match="not issued by a CA that is trusted here"):
            leader.leader()
        assert time.monotonic() - began_at < AT_ONCE
        assert not leadership.wait_lost(3.0)
        assert not waiting.done()
        rotating.server.kill()
        rotating.server.tls = good
        rotating.server.start()
        eventually(lambda: candidates(leader) == 2, PATIENCE)
        assert leadership.held
        leadership.resign()
        assert waiting.result(PATIENCE).held


def test_half_a_replacement_is_not_used(
    front: Front, rotating: Rotating, caplog: pytest.LogCaptureFixture
) -> None:
    tls = TLS(rotating.ca, rotating.cert, rotating.key)
    with (
        front.Etcd(rotating.server.endpoint, tls=tls) as etcd,
        front.ElectionClient(etcd, "x", ttl=5) as client,
    ):
        leadership = client.campaign("v")
        os.truncate(rotating.cert, 100)
        assert not leadership.wait_lost(3.0)
        assert client.leader().token == leadership.token
    warnings = [r.getMessage() for r in caplog.records if "certificates" in r.getMessage()]
    assert len(warnings) == 1
    assert "cert holds no certificate in PEM" in warnings[0]
