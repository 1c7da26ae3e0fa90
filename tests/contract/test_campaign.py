"""Campaign, lead, hand over: what the Go package's own tests show, and the rules around it."""

from __future__ import annotations

import threading

import pytest

from etcd_election import (
    CampaignTimeout,
    ClientClosed,
    ElectionClient,
    LostReason,
    NoLeader,
    OperationTimeout,
    SessionExpired,
    State,
    Unavailable,
)
from etcd_election._core import timing
from tests.support.etcd_server import EtcdServer
from tests.support.events import key_of, queue_of
from tests.support.fronts import Front
from tests.support.raw import RawEtcd
from tests.support.rogue import Rogue, RogueServer
from tests.support.waiting import eventually

from .conftest import PATIENCE, Background, MakeClient


def test_a_stopped_server_is_unavailable_within_the_timeout(
    front: Front, own_server: EtcdServer
) -> None:
    own_server.kill()
    connection = front.Etcd(own_server.endpoint, timeout=0.5)
    client = front.ElectionClient(connection, "x")
    for attempt in (client.open, client.leader, lambda: client.campaign("v")):
        with pytest.raises(Unavailable) as caught:
            attempt()
        assert own_server.endpoint in str(caught.value)
        assert caught.value.attempts
        assert isinstance(caught.value, ConnectionError)
    with pytest.raises(Unavailable), client:
        pass
    assert client.state is State.CLOSED
    with pytest.raises(Unavailable), connection:
        pass


@pytest.mark.smoke
def test_the_only_candidate_leads_and_is_read_by_others(
    make_client: MakeClient, election_name: str, raw: RawEtcd
) -> None:
    client, other = make_client(), make_client()
    assert client.state is State.IDLE
    assert client.lease_id is None
    with pytest.raises(NoLeader):
        other.leader()

    leadership = client.campaign("först")

    assert leadership.held
    assert leadership
    assert leadership.lost is None
    assert client.state is State.LEADING
    assert client.leadership is leadership
    assert leadership.lease_id == client.lease_id
    assert leadership.key == key_of(election_name, leadership.lease_id)
    # The margin is a tenth of the ttl: clocks may differ by as much.
    assert 0 < leadership.remaining <= 5 - 0.5
    (stored,) = raw.candidates(election_name)
    assert (stored.key, stored.create_revision) == (leadership.key, leadership.token)
    seen = other.leader()
    assert (seen.text, seen.value) == ("först", "först".encode())
    assert (seen.key, seen.token, seen.lease_id) == (
        leadership.key,
        leadership.token,
        leadership.lease_id,
    )


@pytest.mark.smoke
def test_resign_hands_over_to_the_next_in_the_queue(
    make_client: MakeClient, background: Background, election_name: str, raw: RawEtcd
) -> None:
    first, second = make_client(), make_client()
    leadership = first.campaign("1")
    waiting = background(second.campaign, "2")
    queue_of(raw, election_name, 2)
    assert second.state is State.CAMPAIGNING

    first.resign()

    assert not leadership.held
    assert leadership.lost is LostReason.RESIGNED
    assert first.state is State.IDLE
    succeeding = waiting.result(PATIENCE)
    assert succeeding.held
    assert succeeding.token > leadership.token
    assert second.leader().text == "2"


def test_a_resigned_client_keeps_its_session_and_may_campaign_again(client: ElectionClient) -> None:
    first = client.campaign("1")
    client.resign()
    second = client.campaign("2")
    assert second.token > first.token
    assert second.lease_id == first.lease_id
    assert not first.held


def test_resigning_while_not_leading_does_nothing(client: ElectionClient) -> None:
    client.resign()
    leadership = client.campaign("v")
    leadership.resign()
    client.resign()
    leadership.resign()
    assert client.state is State.IDLE


def test_resign_waits_for_a_running_campaign(
    make_client: MakeClient, background: Background, election_name: str, raw: RawEtcd
) -> None:
    first, second = make_client(), make_client()
    first.campaign("1")
    waiting = background(second.campaign, "2")
    queue_of(raw, election_name, 2)
    with pytest.raises(OperationTimeout):
        second.resign(timeout=0.2)
    assert second.state is State.CAMPAIGNING
    resigning = background(second.resign, timeout=PATIENCE)
    first.resign()
    leadership = waiting.result(PATIENCE)
    resigning.result(PATIENCE)
    assert leadership.lost is LostReason.RESIGNED


@pytest.mark.leaves_lease
def test_a_session_killed_while_waiting_expires_and_the_leader_can_still_be_read(
    make_client: MakeClient, background: Background, election_name: str, raw: RawEtcd
) -> None:
    first, second = make_client(), make_client()
    first.campaign("1")
    waiting = background(second.campaign, "2")
    queue_of(raw, election_name, 2)
    lease_id = second.lease_id
    assert lease_id is not None
    raw.revoke(lease_id)
    with pytest.raises(SessionExpired) as caught:
        waiting.result(PATIENCE)
    assert caught.value.lease_id == lease_id
    assert second.leader().text == "1"
    first.resign()
    assert second.campaign("2").held
    assert second.lease_id != lease_id


def test_a_session_killed_while_leading_is_signalled_and_replaced(
    client: ElectionClient, raw: RawEtcd
) -> None:
    lost = threading.Event()
    first = client.campaign("1")
    first.on_lost(lambda _: lost.set())
    raw.revoke(first.lease_id)
    assert first.wait_lost(PATIENCE)
    assert lost.wait(PATIENCE)
    assert first.lost in (LostReason.KEY_DELETED, LostReason.SESSION_EXPIRED)
    second = client.campaign("2")
    assert second.held
    assert second.lease_id != first.lease_id
    assert second.token > first.token


def test_a_session_that_died_unnoticed_is_replaced_by_the_next_campaign(
    client: ElectionClient, raw: RawEtcd
) -> None:
    first = client.campaign("1")
    client.resign()
    raw.revoke(first.lease_id)
    second = client.campaign("2", timeout=PATIENCE)
    assert second.held
    assert second.lease_id != first.lease_id


def test_campaigning_while_leading_proclaims_and_returns_the_same_leadership(
    make_client: MakeClient,
) -> None:
    client, other = make_client(), make_client()
    leadership = client.campaign("1")
    assert client.campaign("2") is leadership
    assert leadership.value == b"2"
    assert other.leader().text == "2"


def test_a_second_campaign_waits_for_the_first(
    make_client: MakeClient, background: Background, election_name: str, raw: RawEtcd
) -> None:
    first, second = make_client(), make_client()
    first.campaign("1")
    calls = [background(second.campaign, value) for value in ("2", "3")]
    queue_of(raw, election_name, 2)
    first.resign()
    leaderships = [call.result(PATIENCE) for call in calls]
    assert leaderships[0] is leaderships[1]
    assert len(raw.candidates(election_name)) == 1


def test_without_time_to_wait_an_election_that_is_led_is_not_joined(
    make_client: MakeClient, election_name: str, raw: RawEtcd
) -> None:
    first, second = make_client(), make_client()
    leadership = first.campaign("1")
    before = raw.revision()
    with pytest.raises(CampaignTimeout):
        second.campaign("2", timeout=0)
    assert raw.revision() == before
    leadership.resign()
    assert second.campaign("2", timeout=0).held


def test_a_campaign_that_runs_out_of_time_leaves_no_candidate(
    make_client: MakeClient, election_name: str, raw: RawEtcd
) -> None:
    first, second = make_client(), make_client()
    leadership = first.campaign("1")
    for timeout in (0.01, 0.1, 0.5):
        with pytest.raises(CampaignTimeout) as caught:
            second.campaign("2", timeout=timeout)
        assert isinstance(caught.value, TimeoutError)
        assert [kv.key for kv in raw.candidates(election_name)] == [leadership.key]
    assert second.state is State.IDLE


def test_after_close_every_call_says_so(make_client: MakeClient, election_name: str) -> None:
    client = make_client()
    leadership = client.campaign("v")
    client.close()
    client.close()
    assert not leadership.held
    assert leadership.lost is LostReason.CLOSED
    assert client.state is State.CLOSED
    calls = (
        client.open,
        client.leader,
        client.candidates,
        client.resign,
        client.observe,
        lambda: client.campaign("v"),
        lambda: leadership.proclaim("v"),
        lambda: leadership.transaction([]),
    )
    for call in calls:
        with pytest.raises(ClientClosed):
            call()
    leadership.resign()
    assert client.cancel_campaign() is False


def test_close_ends_a_waiting_campaign(
    make_client: MakeClient, background: Background, election_name: str, raw: RawEtcd
) -> None:
    first, second = make_client(), make_client()
    first.campaign("1")
    waiting = background(second.campaign, "2")
    queue_of(raw, election_name, 2)
    second.close()
    with pytest.raises(ClientClosed):
        waiting.result(PATIENCE)
    queue_of(raw, election_name, 1)


def test_closing_the_connection_closes_its_clients_first(
    front: Front, server: EtcdServer, election_name: str, raw: RawEtcd
) -> None:
    connection = front.Etcd(server.endpoint)
    client = front.ElectionClient(connection, election_name, ttl=60)
    leadership = client.campaign("v")
    connection.close()
    connection.close()
    assert client.state is State.CLOSED
    assert not leadership.held
    assert raw.candidates(election_name) == []
    assert raw.lease_leases() == set()
    with pytest.raises(ClientClosed):
        connection.open()
    with pytest.raises(ClientClosed):
        front.ElectionClient(connection, election_name).leader()


def test_a_client_made_from_endpoints_owns_its_connection(
    front: Front, server: EtcdServer, election_name: str
) -> None:
    with front.ElectionClient(f"http://{server.endpoint}/,localhost:1", election_name) as client:
        assert client.campaign("v").held


def test_the_empty_name_is_an_election_like_any_other(make_client: MakeClient) -> None:
    client = make_client("")
    leadership = client.campaign(b"\xff\x00")
    assert leadership.key == b"/%x" % leadership.lease_id
    assert client.leader().value == b"\xff\x00"
    assert client.leader().text == "\udcff\x00"


def test_many_candidates_lead_one_after_the_other_with_rising_tokens(
    make_client: MakeClient, background: Background, election_name: str, raw: RawEtcd
) -> None:
    clients = [make_client(ttl=15) for _ in range(20)]
    tokens: list[int] = []
    leading = threading.Semaphore(1)

    def term(client: ElectionClient) -> None:
        with client.campaign("v") as leadership:
            assert leading.acquire(blocking=False), "two lead at once"
            assert leadership.held
            tokens.append(leadership.token)
            leading.release()

    for call in [background(term, client) for client in clients]:
        call.result(60)
    assert tokens == sorted(set(tokens))
    assert len(tokens) == 20
    assert raw.candidates(election_name) == []


def test_a_campaign_connects_for_its_wait_while_the_lease_is_granted(
    front: Front, background: Background
) -> None:
    with RogueServer(Rogue.SILENT) as server:
        client = front.ElectionClient(server.endpoint, "x")
        # One attempt to grant, on one connection: a second attempt would make another.
        campaigning = background(client.campaign, "v", timeout=timing.CONNECTING)
        eventually(lambda: server.accepted == 2 or campaigning.done(), PATIENCE)
        assert not campaigning.done()
        client.close(timeout=0)
        with pytest.raises(ClientClosed):
            campaigning.result(PATIENCE)


def test_candidates_are_told_in_the_order_of_the_queue(
    make_client: MakeClient, background: Background, election_name: str, raw: RawEtcd
) -> None:
    clients = [make_client() for _ in range(3)]
    clients[0].campaign("0")
    for number, client in enumerate(clients[1:], start=1):
        background(client.campaign, str(number))
        queue_of(raw, election_name, number + 1)
    told = clients[0].candidates()
    assert [leader.text for leader in told] == ["0", "1", "2"]
    assert told[0] == clients[1].leader()
    for client in clients[1:]:
        eventually(client.cancel_campaign, PATIENCE)


def test_a_campaign_that_never_had_its_turn_takes_nothing_from_the_one_before(
    make_client: MakeClient, background: Background, election_name: str, raw: RawEtcd
) -> None:
    leader, waiter = make_client(), make_client()
    leader.campaign("leader")
    first = background(waiter.campaign, "first")
    queue = queue_of(raw, election_name, 2)
    with pytest.raises(CampaignTimeout):
        waiter.campaign("second", timeout=0.2)
    assert raw.candidates(election_name) == queue
    leader.resign()
    assert first.result(PATIENCE).value == b"first"
