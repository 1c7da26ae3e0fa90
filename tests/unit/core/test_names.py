"""Which addresses stand behind names, and which numbers they have."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcd_election._core import timing
from etcd_election._core.endpoints import Endpoint
from etcd_election._core.names import Names

from .support import FakeClock, make_link, quick

ETCD = Endpoint("etcd", 2379)
OTHER = Endpoint("other", 1)


def addresses(names: Names) -> list[str | None]:
    return [endpoint.address for endpoint in names.endpoints]


def find(names: Names, host: str, *found: str) -> set[int]:
    names.endpoints, changed = names.found(host, found)
    return changed


def test_without_names_nothing_is_looked_up() -> None:
    names = Names([ETCD], [])
    names.doubted()
    assert not names.outstanding
    assert not names.due(0.0)


def test_first_look_up_is_due_at_once_and_awaited() -> None:
    names = Names([ETCD], ["etcd", "etcd"])
    assert names.hosts == ("etcd",)
    assert names.outstanding
    assert names.due(0.0)
    assert not names.due(100.0), "it is under way"
    names.ended()
    assert not names.outstanding


def test_later_ones_are_due_when_all_have_failed_and_not_too_often() -> None:
    names = Names([ETCD], ["etcd"])
    names.due(0.0)
    names.ended()
    assert not names.due(10.0)
    names.doubted()
    assert names.due(10.0)
    assert not names.outstanding, "the addresses of before may be good"
    names.ended()
    names.doubted()
    assert not names.due(10.0 + timing.LOOK_UP_AGAIN / 2)
    assert names.due(10.0 + timing.LOOK_UP_AGAIN)


def test_name_counts_for_its_addresses() -> None:
    names = Names([ETCD, OTHER], ["etcd", "other"])
    assert find(names, "etcd", "10.0.0.1", "10.0.0.2", "10.0.0.3") == {0, 2, 3}
    assert addresses(names) == ["10.0.0.1", None, "10.0.0.2", "10.0.0.3"]
    assert {endpoint.host for endpoint in names.endpoints[2:]} == {"etcd"}
    assert find(names, "other", "10.0.0.9") == {1}


def test_name_given_with_two_ports_counts_for_each() -> None:
    names = Names([ETCD, Endpoint("etcd", 3379, tls=True)], ["etcd"])
    find(names, "etcd", "10.0.0.1", "10.0.0.2")
    assert [(e.port, e.tls, e.address) for e in names.endpoints] == [
        (2379, False, "10.0.0.1"),
        (3379, True, "10.0.0.1"),
        (2379, False, "10.0.0.2"),
        (3379, True, "10.0.0.2"),
    ]


def test_address_that_is_still_there_keeps_its_number() -> None:
    names = Names([ETCD], ["etcd"])
    find(names, "etcd", "10.0.0.1", "10.0.0.2")
    assert find(names, "etcd", "10.0.0.2", "10.0.0.1") == set()
    assert find(names, "etcd", "10.0.0.3", "10.0.0.2") == {0}
    assert addresses(names) == ["10.0.0.3", "10.0.0.2"]


def test_numbers_left_over_stand_for_the_same_ones_again() -> None:
    names = Names([ETCD], ["etcd"])
    find(names, "etcd", "10.0.0.1", "10.0.0.2", "10.0.0.3")
    assert find(names, "etcd", "10.0.0.2") == {0, 2}
    assert addresses(names) == ["10.0.0.2"] * 3
    assert find(names, "etcd", "10.0.0.2") == set()
    assert find(names, "etcd", "10.0.0.4", "10.0.0.5", "10.0.0.2") == {1, 2}


def test_look_up_that_brings_nothing_changes_nothing() -> None:
    names = Names([ETCD], ["etcd"])
    assert find(names, "etcd") == set()
    assert names.endpoints == (ETCD,)


_lists = st.lists(st.sampled_from(["1", "2", "3", "4", "5"]), max_size=5)


@quick
@given(st.lists(_lists, max_size=6))
def test_all_addresses_are_there_and_no_others_and_numbers_are_never_taken_back(
    history: list[list[str]],
) -> None:
    names = Names([ETCD, OTHER], ["etcd"])
    known = 2
    for found in history:
        before = names.endpoints
        changed = find(names, "etcd", *found)
        assert len(names.endpoints) >= known
        known = len(names.endpoints)
        assert names.endpoints[1] is before[1]
        assert changed == {
            i for i, e in enumerate(names.endpoints) if i >= len(before) or e != before[i]
        }
        if found:
            ours = [e.address for e in names.endpoints if e.host == "etcd"]
            assert set(ours) == set(found)


def test_link_knows_what_belongs_to_new_numbers() -> None:
    link = make_link(FakeClock(), endpoints=2, hosts=["etcd0"])
    link.unanswered(0, 0.0, reached=True, said="")
    link.found("etcd0", ["10.0.0.1", "10.0.0.2"])
    assert [endpoint.target for endpoint in link.endpoints] == [
        "10.0.0.1:2379",
        "etcd1:2379",
        "10.0.0.2:2379",
    ]
    assert link.ages == [1, 0, 0]
    assert len(link.ring) == 3
    assert link.ring.other(1) == 0, "a new address is not suspected"
    assert [endpoint.target for endpoint in link.given] == ["etcd0:2379", "etcd1:2379"]


@pytest.mark.parametrize(("endpoint", "member"), [(0, 0), (1, 1), (2, 0), (3, 0)])
def test_addresses_of_one_name_may_be_one_member(endpoint: int, member: int) -> None:
    link = make_link(FakeClock(), endpoints=2, hosts=["etcd0"])
    link.found("etcd0", ["::1", "127.0.0.1", "10.0.0.1"])
    assert link.member(endpoint) == member
