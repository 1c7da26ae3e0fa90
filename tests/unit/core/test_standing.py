"""The queue of an election, as etcd's own Election service keeps it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcd_election._core import standing
from etcd_election._core.standing import Standing
from etcd_election.pb import rpc_pb2

from .support import NAME, kv, quick, txn

KEY = b"jobs/abc"


def test_candidate_key_is_the_one_that_etcdctl_and_go_use() -> None:
    assert standing.candidate_key(b"jobs", 0x32695AC) == b"jobs/32695ac"
    assert standing.candidate_key(b"", 1) == b"/1"
    assert standing.candidate_key(b"\xff", (1 << 63) - 1) == b"\xff/7fffffffffffffff"


@quick
@given(st.binary(max_size=5), st.integers(1, (1 << 63) - 1))
def test_own_kind_of_keys_is_recognised(name: bytes, lease_id: int) -> None:
    assert standing.is_candidate_key(name, standing.candidate_key(name, lease_id))


@pytest.mark.parametrize(
    "key", [b"jobs/", b"jobs/x", b"jobs/ABC", b"jobs/a/1", b"jobs/1\n", b"jobs/" + b"a" * 17]
)
def test_foreign_key_in_the_queue_is_recognised(key: bytes) -> None:
    assert not standing.is_candidate_key(NAME, key)


def test_candidate_with_nobody_before_it_is_first() -> None:
    assert Standing(kv(KEY, 20), None, 30).first
    assert not Standing(kv(KEY, 20), kv(b"jobs/1", 10), 30).first
    assert not Standing(None, None, 30).first


@quick
@given(st.binary(max_size=5), st.binary(max_size=5))
def test_queue_is_what_stands_under_the_name_and_a_slash(name: bytes, other: bytes) -> None:
    request = standing.queue(name)
    in_queue = request.key <= other < request.range_end
    assert in_queue == other.startswith(name + b"/")


def test_queue_is_read_in_its_order_and_linearizably() -> None:
    request = standing.queue(NAME)
    assert request.sort_target == rpc_pb2.RangeRequest.CREATE
    assert request.sort_order == rpc_pb2.RangeRequest.ASCEND
    assert request.limit == request.max_create_revision == request.revision == 0
    assert not request.serializable
    assert not request.keys_only


def test_one_just_before_is_the_newest_of_those_that_are_older() -> None:
    """Of the two newest that are no newer than ours, the first is ours."""
    request = standing.newest(NAME, up_to=20)
    assert request.max_create_revision == 20
    assert request.sort_order == rpc_pb2.RangeRequest.DESCEND
    assert request.limit == 2
    assert not request.keys_only, "etcd 3.7 would leave out the lease, too"


def test_joining_writes_only_where_no_key_stands_and_reads_the_place() -> None:
    request = standing.joining(NAME, KEY, b"me", 0xABC)
    (compare,) = request.compare
    assert (compare.key, compare.create_revision) == (KEY, 0)
    assert compare.target == rpc_pb2.Compare.CREATE
    assert compare.result == rpc_pb2.Compare.EQUAL
    put, newest = request.success
    assert put.request_put == rpc_pb2.PutRequest(key=KEY, value=b"me", lease=0xABC)
    assert newest.request_range == standing.newest(NAME)
    (own,) = request.failure
    assert own.request_range == standing.one(KEY)


def test_reads_of_one_transaction_are_told_apart() -> None:
    first, second = kv(KEY, 20), kv(b"jobs/1", 10)
    response = txn([first], None, [second, first])
    assert standing.found(response, 0) == [first]
    assert standing.found(response, 1) == []
    assert standing.found(response, 2) == [second, first]
    assert standing.found(response, 3) == []


def test_entry_of_the_queue_is_shown_to_users_as_etcd_stored_it() -> None:
    leader = standing.as_leader(NAME, kv(KEY, 20, 25, value=b"h\xff", lease=0xABC), 30)
    assert (leader.name, leader.key, leader.value) == (NAME, KEY, b"h\xff")
    assert (leader.lease_id, leader.token, leader.mod_revision) == (0xABC, 20, 25)
    assert leader.revision == 30
    assert leader.text.encode("utf-8", "surrogateescape") == b"h\xff"
    assert leader == standing.as_leader(NAME, kv(KEY, 20, 25, value=b"h\xff", lease=0xABC), 99)
