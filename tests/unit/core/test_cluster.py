"""A change of cluster is noticed, and nothing else is taken for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcd_election._core.cluster import ClusterWatch
from etcd_election._core.method import Method

from .support import header, quick


@pytest.fixture
def cluster() -> ClusterWatch:
    watch = ClusterWatch()
    assert not watch.saw(header(100, term=5, cluster=1), floor=0)
    return watch


def test_another_cluster_id_is_another_cluster(cluster: ClusterWatch) -> None:
    assert cluster.saw(header(3, term=1, cluster=2), floor=None)
    assert cluster.generation == 1
    assert cluster.revision == 3, "revisions begin anew"
    assert not cluster.stale_term(1)


def test_restored_backup_shows_by_a_revision_that_went_back(cluster: ClusterWatch) -> None:
    floor = cluster.revision
    assert cluster.saw(header(99), floor=floor)
    assert cluster.generation == 1
    assert not cluster.saw(header(99), floor=cluster.revision)


def test_member_that_lags_is_no_restored_backup(cluster: ClusterWatch) -> None:
    """Keepalives, watches and serializable answers come without a floor."""
    assert not cluster.saw(header(50), floor=None)
    assert cluster.generation == 0
    assert cluster.revision == 100


def test_answer_may_be_older_than_what_was_seen_since_it_was_asked_for(
    cluster: ClusterWatch,
) -> None:
    assert not cluster.saw(header(100), floor=100)
    cluster.saw(header(120), floor=100)
    assert not cluster.saw(header(110), floor=100)
    assert cluster.revision == 120


def test_call_sent_before_a_change_of_cluster_does_not_show_another(
    cluster: ClusterWatch,
) -> None:
    cluster.saw(header(3, cluster=2), floor=None)
    assert not cluster.saw(header(4, cluster=2), floor=100)
    assert cluster.generation == 1


def test_answer_without_a_header_says_nothing(cluster: ClusterWatch) -> None:
    assert not cluster.saw(header(0, term=0, cluster=0), floor=100)
    assert cluster.revision == 100


def test_deposed_raft_leader_shows_by_its_term(cluster: ClusterWatch) -> None:
    assert cluster.stale_term(4)
    assert not cluster.stale_term(5)
    cluster.saw(header(100, term=7), floor=None)
    cluster.saw(header(100, term=5), floor=None)
    assert cluster.stale_term(6), "its answer does not make the term go down"


def test_only_answers_of_the_whole_cluster_are_held_to_a_revision() -> None:
    assert {method for method in Method if method.linearizable} == {
        Method.RANGE,
        Method.TXN,
        Method.LEADER,
    }


@quick
@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 9), st.booleans()), max_size=30))
def test_no_order_of_answers_of_one_cluster_looks_like_another(
    answers: list[tuple[int, int, bool]],
) -> None:
    """Linearizable answers are at least as new as what was known when they were asked for."""
    cluster = ClusterWatch()
    floors = [0]
    for revision, delay, linearizable in answers:
        floor = floors[-1 - min(delay, len(floors) - 1)]
        answer = header(max(revision, floor) if linearizable else revision)
        assert not cluster.saw(answer, floor=floor if linearizable else None)
        assert cluster.revision >= floors[-1]
        floors.append(cluster.revision)
    assert cluster.generation == 0
