"""Leading for one block, or term after term: `lead`, `run` and `stop`."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from etcd_election import (
    CampaignTimeout,
    ClientClosed,
    ElectionClient,
    Etcd,
    Leadership,
    LostReason,
    NotLeader,
    SessionExpired,
    State,
    ValueTooLarge,
)
from tests.support.etcd_server import EtcdServer
from tests.support.fronts import Front
from tests.support.proxy import Mode, TcpProxy
from tests.support.raw import RawEtcd
from tests.support.waiting import eventually

from .conftest import PATIENCE, Background, MakeClient


def remove(raw: RawEtcd, leadership: Leadership) -> None:
    """Deletes the key, and waits until the leader knows."""
    raw.delete(leadership.key)
    assert leadership.wait_lost(PATIENCE)


def test_a_block_leads_from_its_beginning_to_its_end(client: ElectionClient, raw: RawEtcd) -> None:
    with client.lead("v") as leadership:
        assert leadership.held
        stored = raw.get(leadership.key)
        assert stored is not None
        assert stored.value == b"v"
    assert leadership.lost is LostReason.RESIGNED
    assert raw.get(leadership.key) is None


def test_a_block_that_was_not_elected_is_not_entered(make_client: MakeClient) -> None:
    make_client().campaign("first")
    with pytest.raises(CampaignTimeout), make_client().lead("second", timeout=0):
        pytest.fail("it is not the leader")


def test_a_block_raises_at_its_end_what_leadership_was_lost_for(
    client: ElectionClient, raw: RawEtcd
) -> None:
    with pytest.raises(NotLeader) as caught, client.lead("v") as leadership:
        remove(raw, leadership)
    assert caught.value.reason is LostReason.KEY_DELETED
    assert caught.value.leadership is leadership


@pytest.mark.parametrize("lost", [False, True])
def test_the_exception_of_a_block_comes_first(
    client: ElectionClient, raw: RawEtcd, lost: bool
) -> None:
    terms: list[Leadership] = []

    def block() -> None:
        with client.lead("v") as leadership:
            terms.append(leadership)
            if lost:
                remove(raw, leadership)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        block()
    assert raw.get(terms[0].key) is None


def test_a_block_may_resign_by_itself(client: ElectionClient) -> None:
    with client.lead("v") as leadership:
        leadership.resign()
    assert leadership.lost is LostReason.RESIGNED


def test_work_that_is_done_while_leading_resigns_and_gives_its_result(
    client: ElectionClient, raw: RawEtcd
) -> None:
    terms: list[Leadership] = []

    def lead(leadership: Leadership) -> int:
        assert leadership.held
        terms.append(leadership)
        return 42

    assert client.run(lead, "v") == 42
    assert terms[0].lost is LostReason.RESIGNED
    assert raw.get(terms[0].key) is None
    assert client.state is State.IDLE


def test_after_a_loss_the_old_work_ends_before_the_next_campaign(
    make_client: MakeClient, raw: RawEtcd, background: Background
) -> None:
    client, rival = make_client(), make_client()
    tokens: list[int] = []
    rival_led = threading.Event()

    def lead(leadership: Leadership) -> str:
        tokens.append(leadership.token)
        if len(tokens) == 2:
            return "done"
        remove(raw, leadership)
        # Others may lead meanwhile; this client does not even stand in the queue.
        with rival.campaign("rival", timeout=PATIENCE):
            assert [entry.text for entry in rival.candidates()] == ["rival"]
            assert client.state is State.IDLE
            rival_led.set()
        return "of a leader no more"

    assert background(client.run, lead, "v").result(2 * PATIENCE) == "done"
    assert rival_led.is_set()
    assert tokens[1] > tokens[0]


def test_work_that_raises_resigns_first(make_client: MakeClient, raw: RawEtcd) -> None:
    def lead(leadership: Leadership) -> None:
        raise KeyError(leadership.key)

    with pytest.raises(KeyError) as caught:
        make_client().run(lead, "v")
    assert raw.get(caught.value.args[0]) is None


def test_work_may_end_by_what_a_check_raises(client: ElectionClient, raw: RawEtcd) -> None:
    terms: list[Leadership] = []

    def lead(leadership: Leadership) -> str:
        terms.append(leadership)
        if len(terms) == 1:
            remove(raw, leadership)
            leadership.check()
        return "done"

    assert client.run(lead, "v") == "done"
    assert len(terms) == 2


def test_work_that_raises_of_another_leadership_ends_the_loop(
    make_client: MakeClient, election_name: str
) -> None:
    other = make_client(election_name + "-other").campaign("v")
    other.resign()
    with pytest.raises(NotLeader) as caught:
        make_client().run(lambda _: other.check(), "v")
    assert caught.value.leadership is other


@pytest.mark.parametrize("raises", [False, True])
def test_one_term_ends_with_the_loss(client: ElectionClient, raw: RawEtcd, raises: bool) -> None:
    def lead(leadership: Leadership) -> None:
        remove(raw, leadership)
        if raises:
            leadership.check()

    with pytest.raises(NotLeader) as caught:
        client.run(lead, "v", once=True)
    assert caught.value.reason is LostReason.KEY_DELETED


@pytest.mark.parametrize("resigns", [False, True])
def test_one_term_that_is_not_lost_ends_with_the_result(
    client: ElectionClient, resigns: bool
) -> None:
    def lead(leadership: Leadership) -> int:
        if resigns:
            leadership.resign()
        return 42

    assert client.run(lead, "v", once=True) == 42


def test_who_gives_leadership_up_lets_others_come_first(
    make_client: MakeClient, background: Background
) -> None:
    client, rival = make_client(), make_client()
    running = background(client.run, lambda leadership: leadership.resign(), "v", cooldown=60.0)
    eventually(lambda: client.leadership is None and client.lease_id is not None, PATIENCE)
    with rival.campaign("rival", timeout=PATIENCE):
        assert [entry.text for entry in rival.candidates()] == ["rival"]
    assert client.stop()
    assert running.result(PATIENCE) is None


def test_the_cool_down_is_over_some_time(client: ElectionClient) -> None:
    ended_at: list[float] = []

    def lead(leadership: Leadership) -> float:
        if ended_at:
            return time.monotonic() - ended_at[0]
        leadership.resign()
        ended_at.append(time.monotonic())
        return 0.0

    waited = client.run(lead, "v", cooldown=0.5)
    assert waited is not None
    assert waited >= 0.5


def test_stopping_ends_belief_at_once_and_the_key_when_the_work_is_over(
    client: ElectionClient, raw: RawEtcd, background: Background
) -> None:
    terms: list[Leadership] = []
    may_end = threading.Event()

    def lead(leadership: Leadership) -> str:
        terms.append(leadership)
        leadership.wait_lost()
        assert may_end.wait(PATIENCE)
        return "of a leader no more"

    running = background(client.run, lead, "v")
    eventually(lambda: terms, PATIENCE, "nobody leads")
    assert client.stop()
    eventually(lambda: not terms[0].held, PATIENCE)
    assert terms[0].lost is LostReason.RESIGNED
    # Nobody else leads while the old work goes on.
    assert raw.get(terms[0].key) is not None
    may_end.set()
    assert running.result(PATIENCE) is None
    assert raw.get(terms[0].key) is None
    assert not client.stop()


@pytest.mark.real_etcd
def test_the_key_of_a_stopped_leader_is_renewed_while_the_work_goes_on(
    make_client: MakeClient, raw: RawEtcd, server: EtcdServer, background: Background
) -> None:
    client = make_client(ttl=2)
    terms: list[Leadership] = []
    may_end = threading.Event()

    def lead(leadership: Leadership) -> None:
        terms.append(leadership)
        assert may_end.wait(PATIENCE)

    running = background(client.run, lead, "v")
    eventually(lambda: terms, PATIENCE, "nobody leads")
    client.stop()
    # A third of the ttl apart, so for twice the ttl.
    renewed = server.ended_calls("LeaseKeepAlive")
    eventually(lambda: server.ended_calls("LeaseKeepAlive") >= renewed + 6, PATIENCE, interval=0.1)
    assert raw.get(terms[0].key) is not None
    may_end.set()
    running.result(PATIENCE)


def test_stopping_ends_the_wait_for_an_election(
    make_client: MakeClient, raw: RawEtcd, background: Background
) -> None:
    leader = make_client().campaign("first")
    client = make_client()
    running = background(client.run, lambda _: pytest.fail("it is not the leader"), "second")
    eventually(lambda: len(client.candidates()) == 2, PATIENCE, "it does not wait")
    assert client.stop()
    assert running.result(PATIENCE) is None
    assert [entry.key for entry in client.candidates()] == [leader.key]


@pytest.fixture
def cut_off(
    front: Front, server: EtcdServer, background: Background
) -> Iterator[tuple[TcpProxy, Etcd]]:
    """A connection through a proxy that refuses, where a campaign soon gives up."""
    with TcpProxy(server.endpoint) as proxy:
        proxy.mode = Mode.REFUSE
        etcd = front.Etcd(proxy.endpoint, timeout=1.0)
        yield proxy, etcd
        etcd.close()


@pytest.mark.real_etcd
@pytest.mark.smoke
def test_an_outage_is_outlasted(
    front: Front,
    cut_off: tuple[TcpProxy, Etcd],
    election_name: str,
    background: Background,
    caplog: pytest.LogCaptureFixture,
) -> None:
    proxy, etcd = cut_off
    client = front.ElectionClient(etcd, election_name, ttl=5)
    running = background(client.run, lambda leadership: leadership.value, "v")
    eventually(lambda: caplog.text.count("campaigning again") >= 2, PATIENCE, "it gave up")
    assert not running.done()
    proxy.mode = Mode.PASS
    assert running.result(PATIENCE) == b"v"


@pytest.mark.real_etcd
def test_stopping_ends_an_outage(
    front: Front,
    cut_off: tuple[TcpProxy, Etcd],
    election_name: str,
    background: Background,
    caplog: pytest.LogCaptureFixture,
) -> None:
    _, etcd = cut_off
    client = front.ElectionClient(etcd, election_name, ttl=5)
    running = background(client.run, lambda _: pytest.fail("it is not the leader"), "v")
    eventually(lambda: "campaigning again" in caplog.text, PATIENCE, "it gave up")
    assert client.stop()
    assert running.result(PATIENCE) is None


def test_what_no_repetition_mends_ends_the_loop(client: ElectionClient) -> None:
    with pytest.raises(ValueTooLarge):
        client.run(lambda _: None, b"x" * (2 << 20))
    # Nothing of it is left.
    assert client.run(lambda leadership: leadership.value, "v") == b"v"


def test_closing_ends_the_loop(client: ElectionClient, background: Background) -> None:
    running = background(client.run, lambda leadership: leadership.wait_lost(), "v")
    eventually(lambda: client.leadership, PATIENCE, "nobody leads")
    client.close()
    with pytest.raises(ClientClosed):
        running.result(PATIENCE)


def test_two_loops_on_one_client_are_refused(
    client: ElectionClient, background: Background
) -> None:
    running = background(client.run, lambda leadership: leadership.wait_lost(), "v")
    eventually(lambda: client.leadership, PATIENCE, "nobody leads")
    with pytest.raises(RuntimeError, match="already running"):
        client.run(lambda _: None, "v")
    client.stop()
    running.result(PATIENCE)
    assert client.run(lambda _: "again", "v") == "again"


@pytest.mark.real_etcd
@pytest.mark.parametrize("way", ["run", "lead"])
@pytest.mark.parametrize("says", ["no", "an error"])
def test_leadership_ends_when_it_is_not_to_be_renewed(
    make_client: MakeClient, way: str, says: str
) -> None:
    client, waiter = make_client(ttl=2), make_client(ttl=2)
    asked = []

    def alive() -> bool:
        asked.append(time.monotonic())
        if len(asked) <= 2:
            return True
        if says == "no":
            return False
        raise KeyError("the worker is lost")

    def lead(leadership: Leadership) -> None:
        assert leadership.wait_lost(PATIENCE)
        # Within the ttl of the last renewal.
        assert time.monotonic() < asked[1] + 2 + 0.5
        waiter.campaign("next", timeout=PATIENCE)

    def block() -> None:
        with client.lead("v", renew_while=alive) as leadership:
            lead(leadership)

    with pytest.raises(SessionExpired):
        block() if way == "lead" else client.run(lead, "v", once=True, renew_while=alive)
    assert len(asked) > 2


@pytest.mark.real_etcd
def test_a_hanging_question_harms_nobody_else(
    front: Front, connection: Etcd, election_name: str
) -> None:
    if front.name == "asyncio":
        pytest.skip("what hangs in an event loop hangs all of it")
    released = threading.Event()
    hanging = front.ElectionClient(connection, election_name, ttl=2)
    other = front.ElectionClient(connection, election_name + "-other", ttl=2)
    try:
        held = other.campaign("v")
        with (
            pytest.raises(SessionExpired),
            hanging.lead("v", renew_while=lambda: released.wait(2 * PATIENCE)) as leadership,
        ):
            assert leadership.wait_lost(2.5)
        assert held.held
        # The question of before is not that of the next term.
        with hanging.lead("v") as leadership:
            assert not leadership.wait_lost(2.5)
        assert held.held
    finally:
        released.set()


@pytest.mark.real_etcd
def test_no_term_is_longer_than_allowed(make_client: MakeClient) -> None:
    client = make_client(ttl=2)
    began_at = time.monotonic()
    with pytest.raises(SessionExpired), client.lead("v", max_term=4) as leadership:
        assert leadership.wait_lost(PATIENCE)
    # It was renewed, and ended before the time was over, some noise in the waking apart.
    assert 2.0 < time.monotonic() - began_at < 4.0 + 0.5
    # The lease that ended with it does not bind the next term.
    with client.lead("v") as leadership:
        assert not leadership.wait_lost(2.5)


@pytest.mark.real_etcd
def test_conditions_end_with_a_term_that_is_resigned(make_client: MakeClient) -> None:
    client = make_client(ttl=2)
    with client.lead("v", renew_while=lambda: False) as leadership:
        lease = leadership.lease_id
    again = client.campaign("v")
    assert again.lease_id == lease
    assert not again.wait_lost(3.0)


@pytest.mark.parametrize(
    ("arguments", "error", "names"),
    [
        ({"renew_while": 1}, TypeError, "renew_while"),
        ({"max_term": "x"}, TypeError, "max_term"),
        ({"max_term": 4.9}, ValueError, "max_term"),
        ({"value": 1}, TypeError, "value"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_sent(
    client: ElectionClient, arguments: dict[str, Any], error: type[Exception], names: str
) -> None:
    given = {"value": "v", **arguments}
    with pytest.raises(error, match=names):
        client.lead(**given)
    with pytest.raises(error, match=names):
        client.run(lambda _: None, **given)
    assert client.lease_id is None


def test_run_refuses_what_it_cannot_use(client: ElectionClient) -> None:
    work: Any = "not callable"
    with pytest.raises(TypeError, match="lead"):
        client.run(work, "v")
    with pytest.raises(ValueError, match="cooldown"):
        client.run(lambda _: None, "v", cooldown=-1.0)
    assert client.lease_id is None
