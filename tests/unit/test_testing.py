"""What `etcd_election.testing` lets users do in their own tests, with both front-ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from etcd_election import (
    CampaignTimeout,
    ElectionClient,
    EtcdError,
    Leadership,
    LostReason,
    NoLeader,
    SessionExpired,
    State,
    Unavailable,
    aio,
)
from etcd_election.pb import rpc_pb2
from etcd_election.testing import Cluster
from tests.support.fronts import NAMES, Front, make_front
from tests.support.waiting import eventually

PATIENCE = 15.0
HOUR = 3600.0

Background = Callable[..., "Future[Any]"]


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture(scope="module")
def fronts() -> Iterator[dict[str, Front]]:
    made = {name: make_front(name) for name in NAMES}
    yield made
    for front in made.values():
        front.close()


@pytest.fixture(params=NAMES)
def front(request: pytest.FixtureRequest, fronts: dict[str, Front]) -> Iterator[Front]:
    yield fronts[request.param]
    fronts[request.param].check(PATIENCE)


@pytest.fixture
def background() -> Iterator[Background]:
    with ThreadPoolExecutor(8, thread_name_prefix="test") as pool:
        yield pool.submit


@pytest.fixture
def client(front: Front, cluster: Cluster, background: Background) -> Iterator[ElectionClient]:
    with front.ElectionClient(cluster.endpoint, "x") as opened:
        yield opened


# -- who leads


@pytest.mark.parametrize("via", ["service", "kv"])
def test_the_leader_is_the_first_of_the_candidates(
    front: Front, cluster: Cluster, background: Background, via: str
) -> None:
    assert cluster.leader("x") is None
    with front.ElectionClient(cluster.endpoint, "x", via=via) as client:
        leadership = client.campaign("ours")
        rival, other = cluster.rival("x", "theirs"), cluster.rival(b"y")
        assert (rival.leads, other.leads) == (False, True)
        assert [leader.text for leader in cluster.candidates("x")] == ["ours", "theirs"]
        leader = cluster.leader("x")
        assert leader is not None
        assert (leader.token, leader.lease_id) == (leadership.token, leadership.lease_id)
        assert client.leader().text == "ours"
        leadership.resign()
        assert rival.leads
        with pytest.raises(CampaignTimeout):
            client.campaign("ours", timeout=0)
        waiting = background(client.campaign, "ours")
        eventually(lambda: len(cluster.candidates("x")) == 2, PATIENCE)
        rival.resign()
        assert waiting.result(PATIENCE).held
        rival.resign()
    assert cluster.candidates("x") == []


def test_a_rival_is_read_as_any_leader(client: ElectionClient, cluster: Cluster) -> None:
    with client.observe(vacancies=True) as observer:
        assert observer.next(PATIENCE) is None
        rival = cluster.rival("x", "one")
        assert observer.next(PATIENCE).text == "one"
        rival.proclaim("two")
        assert observer.next(PATIENCE).text == "two"
        cluster.expire("x")
        assert observer.next(PATIENCE) is None
        rival.proclaim("three")
    assert cluster.leader("x") is None


def test_clusters_have_nothing_in_common(front: Front, cluster: Cluster) -> None:
    other = Cluster()
    other.rival("x")
    # As etcdctl, a client may know of several endpoints; these two are no members of one etcd.
    with front.ElectionClient([cluster.endpoint, "127.0.0.1:1"], "x") as client:
        assert client.campaign("v", timeout=PATIENCE).held


# -- how leadership is lost


@pytest.mark.parametrize(
    ("lose", "reason"),
    [
        (Cluster.expire, LostReason.SESSION_EXPIRED),
        (Cluster.delete_key, LostReason.KEY_DELETED),
        (Cluster.take_over, LostReason.TAKEN_OVER),
    ],
    ids=["expire", "delete_key", "take_over"],
)
@pytest.mark.parametrize("named", ["leadership", "client", "name"])
def test_leadership_is_lost_as_the_test_says(
    client: ElectionClient, cluster: Cluster, lose: Any, reason: LostReason, named: str
) -> None:
    leadership = client.campaign("v")
    told: list[object] = []
    leadership.on_lost(told.append)
    lose(cluster, {"leadership": leadership, "client": client, "name": "x"}[named])
    assert leadership.wait_lost(PATIENCE)
    assert leadership.lost is reason
    eventually(lambda: told == [leadership], PATIENCE)
    if reason is LostReason.TAKEN_OVER:
        assert client.leader().text == "somebody"
        cluster.delete_key("x")
    assert client.campaign("again", timeout=PATIENCE).token > leadership.token


def test_the_holder_of_a_lease_knows_of_its_end_before_anybody_else_leads(
    client: ElectionClient, cluster: Cluster
) -> None:
    leadership = client.campaign("v")
    rival = cluster.rival("x")
    cluster.expire(leadership)
    assert (leadership.held, leadership.lost) == (False, LostReason.SESSION_EXPIRED)
    assert rival.leads


def test_a_waiting_candidate_can_lose_its_session(
    client: ElectionClient, cluster: Cluster, background: Background
) -> None:
    cluster.rival("x")
    waiting = background(client.campaign, "v")
    eventually(lambda: len(cluster.candidates("x")) == 2, PATIENCE)
    cluster.expire(client)
    with pytest.raises(SessionExpired):
        waiting.result(PATIENCE)


def test_another_cluster_ends_every_leadership(client: ElectionClient, cluster: Cluster) -> None:
    leadership = client.campaign("v")
    cluster.replace()
    assert leadership.wait_lost(PATIENCE)
    assert leadership.lost is LostReason.CLUSTER_CHANGED
    assert cluster.candidates("x") == []
    assert client.campaign("v", timeout=PATIENCE).held


def test_there_must_be_somebody_to_lose(client: ElectionClient, cluster: Cluster) -> None:
    for lose in (cluster.expire, cluster.delete_key, cluster.take_over):
        with pytest.raises(NoLeader):
            lose("x")
        with pytest.raises(NoLeader):
            lose(client)


# -- what becomes of calls


def test_an_etcd_that_hangs_costs_leadership_when_the_ttl_is_over(
    client: ElectionClient, cluster: Cluster
) -> None:
    leadership = client.campaign("v")
    rival = cluster.rival("x")
    cluster.hang()
    with pytest.raises(Unavailable):
        client.leader(timeout=0.05)
    cluster.advance(10)
    assert leadership.held
    cluster.advance(10)
    assert leadership.lost is LostReason.SESSION_EXPIRED
    assert rival.leads, "who is not seen goes on"
    cluster.recover()
    assert client.leader().text == "rival"


def test_what_happened_while_etcd_hung_is_told_when_it_recovers(
    client: ElectionClient, cluster: Cluster, background: Background
) -> None:
    rival = cluster.rival("x")
    waiting = background(client.campaign, "v")
    eventually(lambda: len(cluster.candidates("x")) == 2, PATIENCE)
    cluster.hang()
    rival.resign()
    assert not waiting.done()
    cluster.recover()
    assert waiting.result(PATIENCE).held


def test_a_short_failure_costs_nothing(client: ElectionClient, cluster: Cluster) -> None:
    leadership = client.campaign("v")
    cluster.fail()
    with pytest.raises(Unavailable) as caught:
        client.leader(timeout=0.05)
    assert cluster.endpoint in str(caught.value)
    cluster.advance(5)
    cluster.recover()
    cluster.advance(HOUR)
    assert leadership.held


@pytest.mark.parametrize("via", ["service", "kv"])
def test_a_waiting_candidate_outlasts_a_failure(
    front: Front, cluster: Cluster, background: Background, via: str
) -> None:
    rival = cluster.rival("x")
    with front.ElectionClient(cluster.endpoint, "x", via=via) as client:
        waiting = background(client.campaign, "v")
        eventually(lambda: len(cluster.candidates("x")) == 2, PATIENCE)
        cluster.fail()
        cluster.recover()
        rival.resign()
        assert waiting.result(PATIENCE).held
        assert len(cluster.candidates("x")) == 1


@pytest.mark.parametrize("via", ["service", "kv"])
@pytest.mark.parametrize("break_it", [Cluster.hang, Cluster.fail], ids=["hang", "fail"])
def test_a_campaign_without_an_etcd_is_in_vain(
    front: Front, cluster: Cluster, via: str, break_it: Callable[[Cluster], None]
) -> None:
    with front.Etcd(cluster.endpoint, timeout=0.1) as connection:
        client = front.ElectionClient(connection, "x", via=via)
        break_it(cluster)
        with pytest.raises(Unavailable):
            client.campaign("v")
        cluster.recover()
        assert client.campaign("v").held
        # What was granted late is looked for that long, by the end of the connection too.
        cluster.advance(10)


def test_a_new_client_finds_an_etcd_that_fails(front: Front, cluster: Cluster) -> None:
    cluster.fail()
    connection = front.Etcd(cluster.endpoint, timeout=0.05)
    with pytest.raises(Unavailable):
        connection.open()
    cluster.recover()
    connection.open()
    connection.close()


# -- time


def test_a_healthy_leader_leads_for_hours(client: ElectionClient, cluster: Cluster) -> None:
    leadership = client.campaign("v")
    cluster.advance(HOUR)
    assert leadership.held


def test_a_wait_for_a_loss_is_over_when_its_time_is(
    client: ElectionClient, cluster: Cluster, background: Background
) -> None:
    leadership = client.campaign("v")
    begun = threading.Event()

    def wait() -> bool:
        begun.set()
        return leadership.wait_lost(HOUR)

    waiting = background(wait)
    assert begun.wait(PATIENCE)
    # The thread may be slow to begin its wait.
    eventually(lambda: cluster.advance(HOUR) or waiting.done(), PATIENCE)
    assert waiting.result() is False


@pytest.mark.parametrize("says", ["no", "an error"])
def test_who_is_not_to_be_renewed_leads_no_longer_than_a_ttl(
    client: ElectionClient, cluster: Cluster, says: str
) -> None:
    well = [True]

    def renew_while() -> bool:
        if not well[0] and says == "an error":
            raise RuntimeError("not well")
        return well[0]

    def lead() -> None:
        with client.lead("v", renew_while=renew_while) as leadership:
            cluster.advance(HOUR)
            assert leadership.held
            well[0] = False
            cluster.advance(20)
            assert not leadership.held

    with pytest.raises(SessionExpired):
        lead()


def test_no_term_is_longer_than_allowed(client: ElectionClient, cluster: Cluster) -> None:
    def lead() -> None:
        with client.lead("v", max_term=60) as leadership:
            cluster.advance(40)
            assert leadership.held
            cluster.advance(20)
            assert not leadership.held

    with pytest.raises(SessionExpired):
        lead()


def test_a_campaign_runs_out_of_time(
    client: ElectionClient, cluster: Cluster, background: Background
) -> None:
    cluster.rival("x")
    waiting = background(client.campaign, "v", timeout=HOUR)
    eventually(lambda: len(cluster.candidates("x")) == 2, PATIENCE)
    cluster.advance(HOUR / 2)
    assert client.state is State.CAMPAIGNING
    cluster.advance(HOUR / 2)
    with pytest.raises(CampaignTimeout):
        waiting.result(PATIENCE)


def test_a_cool_down_passes(
    client: ElectionClient, cluster: Cluster, background: Background
) -> None:
    terms: list[int] = []

    def lead(leadership: Leadership) -> str:
        terms.append(leadership.token)
        if len(terms) == 1:
            leadership.resign()
        return "done"

    running = background(client.run, lead, "v", cooldown=HOUR)
    eventually(lambda: cluster.advance(HOUR) or running.done(), PATIENCE)
    assert running.result() == "done"
    assert len(terms) == 2


def test_time_does_not_pass_on_the_loop_that_would_have_to_renew(cluster: Cluster) -> None:
    async def main() -> None:
        async with aio.ElectionClient(cluster.endpoint, "x") as client:
            leadership = await client.campaign("v")
            with pytest.raises(RuntimeError, match="to_thread"):
                cluster.advance(HOUR)
            await asyncio.to_thread(cluster.advance, HOUR)
            assert leadership.held

    asyncio.run(main())
    cluster.advance(HOUR)


# -- keys


def test_what_a_leader_wrote_can_be_looked_at(client: ElectionClient, cluster: Cluster) -> None:
    leadership = client.campaign("v")
    put = rpc_pb2.RequestOp(request_put=rpc_pb2.PutRequest(key=b"data", value=b"1"))
    assert cluster.get("data") is None
    leadership.transaction([put])
    assert cluster.get(b"data") == b"1"
    cluster.put("data", "2")
    read = rpc_pb2.RequestOp(request_range=rpc_pb2.RangeRequest(key=b"data"))
    response = leadership.transaction([read])
    assert response.responses[0].response_range.kvs[0].value == b"2"


def test_a_transaction_that_is_refused_changes_nothing(
    client: ElectionClient, cluster: Cluster
) -> None:
    leadership = client.campaign("v")
    good, bad = rpc_pb2.PutRequest(key=b"data"), rpc_pb2.PutRequest(key=b"data", lease=12345)
    with pytest.raises(EtcdError):
        leadership.transaction([rpc_pb2.RequestOp(request_put=put) for put in (good, bad)])
    assert cluster.get("data") is None


@pytest.mark.parametrize(
    "wrong",
    [
        lambda cluster: cluster.advance(-1),
        lambda cluster: cluster.advance(float("inf")),
        lambda cluster: cluster.rival("x", 7),
        lambda cluster: cluster.leader(None),
        lambda cluster: cluster.put("", "v"),
    ],
)
def test_bad_arguments_are_refused(cluster: Cluster, wrong: Callable[[Cluster], object]) -> None:
    with pytest.raises((TypeError, ValueError)):
        wrong(cluster)


# -- a user's own test, of a worker that must stop when it leads no more


class Worker:
    """What a user has written: it works while it leads, and is told to go."""

    def __init__(self, endpoint: str) -> None:
        self.client = ElectionClient(endpoint, "jobs")
        self.done: list[int] = []

    def lead(self, leadership: Leadership) -> None:
        while leadership.held:
            self.done.append(leadership.token)
            leadership.wait_lost(60)

    def run(self) -> None:
        with self.client:
            self.client.run(self.lead, "host-1")


def test_a_worker_stops_while_somebody_else_leads(cluster: Cluster) -> None:
    worker = Worker(cluster.endpoint)
    thread = threading.Thread(target=worker.run)
    thread.start()
    eventually(lambda: worker.done, PATIENCE)
    rival = cluster.rival("jobs")
    cluster.expire(worker.client)
    eventually(lambda: len(cluster.candidates("jobs")) == 2, PATIENCE)
    before = len(worker.done)
    cluster.advance(HOUR)
    assert len(worker.done) == before, "it worked while somebody else led"
    rival.resign()
    eventually(lambda: len(worker.done) > before, PATIENCE)
    assert worker.done[-1] > worker.done[0], "each term has a token of its own"
    worker.client.stop()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_a_coroutine_that_leads_is_cancelled_when_leadership_is_lost(cluster: Cluster) -> None:
    terms: list[str] = []

    async def lead(leadership: aio.Leadership) -> None:
        terms.append("begun")
        try:
            await asyncio.Event().wait()
        finally:
            terms.append("ended")

    async def until(length: int) -> None:
        while len(terms) < length:
            await asyncio.sleep(0.001)

    async def main() -> None:
        async with aio.ElectionClient(cluster.endpoint, "jobs") as client:
            running = asyncio.create_task(client.run(lead, "host-1"))
            await until(1)
            cluster.expire(client)
            await until(3)
            client.stop()
            assert await running is None

    asyncio.run(main())
    assert terms == ["begun", "ended"] * 2
