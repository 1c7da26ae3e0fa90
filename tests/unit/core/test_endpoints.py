"""Where etcd is, as users write it, and which endpoint is tried next."""

from __future__ import annotations

from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

import etcd_election
from etcd_election import aio
from etcd_election._core.endpoints import Endpoint, EndpointRing, is_name, parse

from .support import quick


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("127.0.0.1:2379", [Endpoint("127.0.0.1", 2379)]),
        ("http://etcd:2379", [Endpoint("etcd", 2379)]),
        ("https://etcd:2379/", [Endpoint("etcd", 2379, tls=True)]),
        ("[::1]:2379", [Endpoint("::1", 2379)]),
        ("https://[2001:DB8:0::1]:1", [Endpoint("2001:db8::1", 1, tls=True)]),
        ("a:1,b:2", [Endpoint("a", 1), Endpoint("b", 2)]),
        (" a:1 , b:2 ", [Endpoint("a", 1), Endpoint("b", 2)]),
        (["a:1", "b:2,c:65535"], [Endpoint("a", 1), Endpoint("b", 2), Endpoint("c", 65535)]),
        (("a:1", "a:1"), [Endpoint("a", 1)]),
        ("etcd-0.etcd.my_ns.svc:02379", [Endpoint("etcd-0.etcd.my_ns.svc", 2379)]),
    ],
)
def test_endpoints_are_read_as_etcdctl_reads_them(given: object, wanted: list[Endpoint]) -> None:
    assert parse(given) == tuple(wanted)


@pytest.mark.parametrize(
    "given",
    [
        "",
        [],
        "etcd",
        "etcd:",
        ":2379",
        "a:1,",
        "a:0",
        "a:65536",
        "a:1234567890",
        "a:-1",
        "a:²",
        "a:1:2",
        "::1:2379",
        "[::1]",
        "[nonsense]:1",
        "[127.0.0.1]:1",
        "-a:1",
        "a b:1",
        "a/b:1",
        "user@a:1",
        "ftp://a:1",
        "://a:1",
        "http://http://a:1",
        "HTTP:a:1",
        "ä:1",
    ],
)
def test_anything_else_is_refused_before_it_is_dialled(given: object) -> None:
    with pytest.raises(ValueError, match="endpoints"):
        parse(given)


@pytest.mark.parametrize("given", [None, 2379, b"a:1", bytearray(b"a:1"), [b"a:1"], {"a:1"}, [1]])
def test_other_types_are_refused(given: object) -> None:
    with pytest.raises(TypeError, match="endpoints"):
        parse(given)


@pytest.mark.parametrize(
    "given", ["http://me:s3cret@a:1", ["a:1", "me:s3cret@b:2"], "me:s3,cret@a:1", "x://s3cret@a:0"]
)
def test_a_password_in_front_of_a_host_is_refused_and_not_repeated(given: object) -> None:
    with pytest.raises(ValueError, match="give user and password") as caught:
        parse(given)
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize("front", [etcd_election, aio])
def test_a_connection_of_the_other_front_end_is_told_so(front: ModuleType) -> None:
    with pytest.raises(TypeError, match="cannot share an Etcd"):
        parse(front.Etcd("127.0.0.1:1"))


def test_target_has_brackets_around_ipv6_alone() -> None:
    assert Endpoint("::1", 2379).target == "[::1]:2379"
    assert Endpoint("etcd", 2379, tls=True).target == "etcd:2379"


def test_name_is_kept_beside_the_address_that_is_dialled() -> None:
    endpoint = Endpoint("etcd", 2379, address="2001:db8::1")
    assert endpoint.target == "[2001:db8::1]:2379"
    assert endpoint.authority == "etcd:2379"
    assert endpoint.shown == "etcd:2379 (2001:db8::1)"
    assert Endpoint("etcd", 2379).shown == Endpoint("etcd", 2379).authority == "etcd:2379"


def test_this_machine_is_known_by_its_names_and_numbers() -> None:
    for host in ("localhost", "127.0.0.1", "127.1.2.3", "::1"):
        assert Endpoint(host, 1).loopback
        assert Endpoint("etcd", 1, address=host).loopback
    assert not Endpoint("etcd", 1).loopback
    assert not Endpoint("10.0.0.1", 1).loopback


def test_a_name_is_what_is_no_number() -> None:
    assert is_name("etcd")
    assert not is_name("127.0.0.1")
    assert not is_name("::1")


def test_tls_is_spoken_where_nothing_says_otherwise() -> None:
    parsed = parse("a:1,http://b:2,https://c:3", tls=True)
    assert [endpoint.tls for endpoint in parsed] == [True, False, True]
    parsed = parse("a:1,http://b:2,https://c:3")
    assert [endpoint.tls for endpoint in parsed] == [False, False, True]


def test_tls_that_no_endpoint_would_speak_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="endpoints: tls was given"):
        parse("http://a:1,http://b:2", tls=True)


_odd = st.text(alphabet="ab0:1[]/.,-_% hHtps@²\n", max_size=20)
_near = st.builds(
    "{}{}:{}{}".format,
    st.sampled_from(["", "http://", "https://"]),
    st.one_of(
        st.from_regex(r"[a-zA-Z0-9_.-]{1,12}", fullmatch=True),
        st.ip_addresses(v=4).map(str),
        st.ip_addresses(v=6).map("[{}]".format),
        _odd,
    ),
    st.one_of(st.integers(-1, 70000), _odd),
    st.sampled_from(["", "/"]),
)
_texts = st.one_of(st.text(max_size=20), _odd, _near)


@quick
@given(st.one_of(_texts, st.lists(_texts, max_size=3), st.none(), st.integers(), st.binary()))
def test_no_input_crashes_it_and_what_it_accepts_it_reads_back(given: object) -> None:
    try:
        endpoints = parse(given)
    except (ValueError, TypeError):
        return
    assert endpoints
    for endpoint in endpoints:
        assert 0 < endpoint.port < 65536
        scheme = "https://" if endpoint.tls else ""
        assert parse(scheme + endpoint.target) == (endpoint,)


@quick
@given(
    st.lists(
        st.one_of(
            st.from_regex(r"[a-z0-9][a-z0-9.-]{0,12}", fullmatch=True),
            st.ip_addresses(v=6).map("[{}]".format),
        ),
        min_size=1,
        max_size=4,
    ),
    st.integers(1, 65535),
)
def test_everything_well_formed_is_accepted(hosts: list[str], port: int) -> None:
    texts = [f"{host}:{port}" for host in hosts]
    assert {endpoint.port for endpoint in parse(texts)} == {port}
    assert parse(",".join(texts)) == parse(texts)


def test_stays_with_the_endpoint_that_works() -> None:
    ring = EndpointRing(3)
    assert len(ring) == 3
    assert [ring.pick(), ring.pick()] == [0, 0]
    ring.worked(1, 5.0)
    assert ring.pick() == 0


def test_leaves_a_suspected_endpoint_and_does_not_return_for_nothing() -> None:
    ring = EndpointRing(3)
    assert ring.failed(0, 1.0, 2.0)
    assert ring.pick() == 1
    ring.worked(0, 3.0)
    assert ring.pick() == 1


def test_when_all_are_suspected_the_oldest_failure_is_tried_first() -> None:
    ring = EndpointRing(3)
    for endpoint, at in ((0, 7.0), (1, 5.0), (2, 6.0)):
        ring.failed(endpoint, at, at)
    assert ring.pick() == 1
    ring.failed(1, 8.0, 8.0)
    assert ring.pick() == 2


def test_call_that_was_starved_says_nothing_about_its_endpoint() -> None:
    """Something succeeded there since the failed call was sent."""
    ring = EndpointRing(2)
    ring.worked(0, 2.0)
    assert not ring.failed(0, 1.0, 3.0)
    assert ring.pick() == 0
    assert ring.failed(0, 2.5, 3.0)
    assert ring.pick() == 1


def test_member_that_answers_and_is_of_no_use_is_left() -> None:
    ring = EndpointRing(2)
    ring.worked(0, 2.0)
    ring.suspect(0, 2.0)
    assert ring.pick() == 1


def test_late_success_does_not_hide_a_later_one() -> None:
    ring = EndpointRing(2)
    ring.worked(0, 5.0)
    ring.worked(0, 1.0)
    assert not ring.failed(0, 4.0, 6.0)


def test_second_way_is_another_endpoint_the_least_suspected() -> None:
    ring = EndpointRing(3)
    assert ring.other(0) == 1
    assert ring.other(1) == 0
    ring.failed(1, 5.0, 5.0)
    assert ring.other(0) == 2
    ring.failed(2, 6.0, 6.0)
    assert ring.other(0) == 1


def test_second_way_with_one_endpoint_is_the_same() -> None:
    assert EndpointRing(1).other(0) == 0


def test_connections_are_fresh_until_something_succeeded() -> None:
    """Then the first attempt needs no time to connect."""
    ring = EndpointRing(2)
    assert ring.fresh(0)
    assert ring.fresh(1)
    ring.worked(0, 1.0)
    assert not ring.fresh(0)
    assert not ring.fresh(1), "there is another way"


def test_suspected_connection_is_waited_for_only_where_there_is_no_other() -> None:
    for size in (1, 2):
        ring = EndpointRing(size)
        ring.worked(0, 1.0)
        ring.failed(0, 2.0, 2.0)
        assert ring.fresh(0) == (size == 1)


@pytest.mark.parametrize("text", ["localhost:1", "127.0.0.1:1", "127.3.2.1:1", "[::1]:1"])
def test_this_machine_is_known_as_such(text: str) -> None:
    assert parse(text)[0].loopback


@pytest.mark.parametrize("text", ["10.0.0.1:1", "etcd.example:1", "[::2]:1"])
def test_another_machine_is_not_taken_for_this_one(text: str) -> None:
    assert not parse(text)[0].loopback


def test_ring_grows_and_keeps_what_it_knows() -> None:
    ring = EndpointRing(1)
    ring.failed(0, 1.0, 2.0)
    ring.grow(3)
    assert len(ring) == 3
    assert ring.pick() == 1
    assert ring.other(1) == 2
    ring.grow(3)
    assert len(ring) == 3


def test_number_that_stands_for_another_address_is_unsuspected() -> None:
    ring = EndpointRing(2)
    ring.worked(0, 1.0)
    ring.failed(0, 2.0, 3.0)
    ring.renew(0)
    assert ring.other(1) == 0
    assert ring.failed(0, 0.5, 4.0), "that the old one worked says nothing"
