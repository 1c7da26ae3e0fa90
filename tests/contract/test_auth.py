"""Users: a wrong one is told so at once, a right one notices nothing of tokens that run out."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import as_completed
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from etcd_election import (
    AuthenticationFailed,
    CampaignCancelled,
    ElectionClient,
    LostReason,
    PermissionDenied,
)
from tests.support.etcd_server import EtcdServer
from tests.support.fronts import Front
from tests.support.root import Root
from tests.support.waiting import eventually

from .conftest import PATIENCE, Background

TOKEN_TTL = 2
SECRET = "hunter2-is-no-secret"

Started = Callable[..., Root]


@pytest.fixture
def guarded(etcd_binary: str, tmp_path: Path) -> Iterator[Started]:
    """Starts an etcd whose tokens live for two seconds, with users; its administrator."""
    with ExitStack() as stack:

        def start(kind: str = "simple") -> Root:
            args = [f"--auth-token-ttl={TOKEN_TTL}"]
            if kind == "jwt":
                key = tmp_path / "key"
                key.write_bytes(b"a key that only this test knows " * 2)
                args = [f"--auth-token=jwt,priv-key={key},sign-method=HS256,ttl={TOKEN_TTL}s"]
            server = stack.enter_context(EtcdServer(etcd_binary, args=args))
            root = Root(server)
            stack.callback(root.close)
            return root

        yield start


Make = Callable[..., ElectionClient]


@pytest.fixture
def make(front: Front, background: Background) -> Iterator[Make]:
    """Makes clients of "mine" with a connection of their own, for a user; closes them."""
    with ExitStack() as stack:

        def make(root: Root, user: str | None = None, **arguments: Any) -> ElectionClient:
            etcd = front.Etcd(root.endpoint, user=user, password=user)
            stack.callback(etcd.close)
            client = front.ElectionClient(etcd, **{"name": "mine", "ttl": 6, **arguments})
            stack.callback(client.close)
            return client

        yield make


def queue(root: Root, length: int) -> None:
    eventually(lambda: len(root.candidates("mine")) == length, PATIENCE)


def test_a_wrong_user_is_told_so_at_once_and_no_secret_is_shown(
    front: Front, guarded: Started, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "etcd_election")
    root = guarded()
    root.switch_on()
    for user, password in (("alice", SECRET), ("nobody", SECRET), (None, None)):
        etcd = front.Etcd(root.endpoint, user=user, password=password)
        began_at = time.monotonic()
        with pytest.raises(AuthenticationFailed) as caught:
            etcd.open()
        assert time.monotonic() - began_at < 3.0, "not after the timeout"
        for text in (str(caught.value), repr(caught.value), repr(etcd), repr(caught.value.details)):
            assert SECRET not in text
        etcd.close()
    assert SECRET not in caplog.text


@pytest.mark.parametrize("via", ["service", "kv"])
def test_what_a_user_may_not_is_denied_and_leaves_nothing(
    guarded: Started, make: Make, via: str
) -> None:
    root = guarded()
    root.switch_on()
    client = make(root, "alice", name="others", via=via)
    client.open()
    for call in (client.leader, client.candidates, lambda: client.campaign("v")):
        with pytest.raises(PermissionDenied):
            call()
    with pytest.raises(PermissionDenied):
        client.observe().next(PATIENCE)
    eventually(lambda: root.leases() == set(), PATIENCE)


@pytest.mark.parametrize("via", ["service", "kv"])
@pytest.mark.parametrize("kind", ["simple", "jwt"])
def test_a_candidate_waits_for_longer_than_its_token_lives_and_is_elected(
    guarded: Started,
    make: Make,
    background: Background,
    via: str,
    kind: str,
) -> None:
    """A blocked Campaign outlives its token and fails when its turn comes; its key then leads."""
    root = guarded(kind)
    root.switch_on()
    leader = make(root, "alice", via=via)
    waiter = make(root, "alice", via=via)
    leadership = leader.campaign("leader")
    observer = waiter.observe(vacancies=True)
    assert observer.next(PATIENCE).text == "leader"
    waiting = background(waiter.campaign, "waiter")
    queue(root, 2)
    token = root.candidates("mine")[1].create_revision
    assert not leadership.wait_lost(2.5 * TOKEN_TTL)
    leadership.resign()
    won = waiting.result(PATIENCE)
    assert won.held
    assert won.token == token, "it has kept its place"
    eventually(lambda: (observer.next(PATIENCE) or leadership).value == b"waiter", PATIENCE)
    won.proclaim("still")
    assert not won.wait_lost(1.0)
    won.resign()
    assert root.candidates("mine") == []


def test_different_users_wait_on_one_member_and_all_are_elected(
    guarded: Started, make: Make, background: Background
) -> None:
    """Etcd tells one of them that it has no permission (issue 17502)."""
    root = guarded()
    root.switch_on()
    clients = [make(root, user) for user in ("alice", "bob", "alice", "bob")]
    leadership = clients[0].campaign("v")
    calls = []
    for number, client in enumerate(clients[1:], start=2):
        calls.append(background(client.campaign, "v"))
        queue(root, number)
    assert not leadership.wait_lost(TOKEN_TTL)
    tokens = [leadership.token]
    leadership.resign()
    # One that had to leave a hanging member stands at the end of the queue.
    for call in as_completed(calls, PATIENCE):
        won = call.result()
        assert won.held
        tokens.append(won.token)
        won.resign()
    assert tokens == sorted(tokens)
    assert root.candidates("mine") == []


@pytest.mark.parametrize("via", ["service", "kv"])
def test_authentication_may_be_switched_on_and_off_under_those_who_have_a_user(
    guarded: Started,
    make: Make,
    background: Background,
    via: str,
) -> None:
    root = guarded()
    leader = make(root, "alice", via=via)
    waiter = make(root, "bob", via=via)
    leadership = leader.campaign("leader")
    waiting = background(waiter.campaign, "waiter")
    queue(root, 2)
    root.switch_on()
    assert not leadership.wait_lost(3.0)
    leadership.proclaim("with a token")
    root.switch_off()
    assert not leadership.wait_lost(3.0)
    leadership.proclaim("without")
    assert waiter.leader().text == "without"
    root.switch_on()
    leadership.resign()
    won = waiting.result(PATIENCE)
    assert won.held
    won.proclaim("again with a token")


def test_authentication_switched_on_is_told_to_those_who_have_no_user(
    guarded: Started, make: Make, background: Background
) -> None:
    root = guarded()
    leader = make(root, ttl=3)
    waiter = make(root, ttl=3)
    leadership = leader.campaign("leader")
    observer = waiter.observe()
    assert observer.next(PATIENCE).text == "leader"
    waiting = background(waiter.campaign, "waiter")
    queue(root, 2)
    root.switch_on()
    with pytest.raises(AuthenticationFailed):
        waiting.result(PATIENCE)
    with pytest.raises(AuthenticationFailed):
        observer.next(PATIENCE)
    with pytest.raises(AuthenticationFailed):
        waiter.leader()
    # Up to etcd 3.4.41 and 3.5.27 a lease needs no user, and goes on.
    leadership.wait_lost(4.0)
    assert leadership.lost in (None, LostReason.SESSION_EXPIRED)
    root.switch_off()


def test_a_password_changed_under_a_leader_ends_its_term_in_time_and_is_said(
    guarded: Started, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    root = guarded()
    root.switch_on()
    client = make(root, "alice", ttl=3)
    leadership = client.campaign("v")
    root.change_password("alice", "new")
    with pytest.raises(AuthenticationFailed):
        eventually(lambda: client.leader() is None, PATIENCE)
    assert leadership.wait_lost(PATIENCE)
    assert leadership.lost is LostReason.SESSION_EXPIRED
    eventually(lambda: "authentication failed" in caplog.text, PATIENCE)
    assert "alice" not in caplog.text, "the password was the same word"


def test_any_number_of_refused_calls_costs_one_new_token(
    guarded: Started, make: Make, background: Background
) -> None:
    root = guarded("jwt")
    root.switch_on()
    client = make(root, "alice", ttl=60)
    client.campaign("v")
    began_at = time.monotonic()
    eventually(lambda: time.monotonic() > began_at + TOKEN_TTL + 1.5, PATIENCE)
    before = root.authentications()
    calls = [background(client.leader) for _ in range(30)]
    assert {call.result(PATIENCE).text for call in calls} == {"v"}
    # One by the calls, and perhaps one for what runs in the background in the same moment.
    assert root.authentications() - before <= 2


@pytest.mark.parametrize("via", ["service", "kv"])
def test_a_cancelled_candidate_leaves_nothing_where_users_are_asked_for(
    guarded: Started, make: Make, background: Background, via: str
) -> None:
    """With users, etcd's own clean-up after every cancel fails."""
    root = guarded()
    root.switch_on()
    leader = make(root, "alice", ttl=60, via=via)
    waiter = make(root, "bob", ttl=60, via=via)
    leader.campaign("leader")
    for _ in range(5):
        waiting = background(waiter.campaign, "waiter")
        queue(root, 2)
        assert waiter.cancel_campaign()
        with pytest.raises(CampaignCancelled):
            waiting.result(PATIENCE)
        assert len(root.candidates("mine")) == 1
    eventually(lambda: len(root.leases()) == 1, PATIENCE)


@pytest.mark.parametrize(
    ("argument", "given"),
    [
        ("password", {"user": "alice"}),
        ("user", {"password": SECRET}),
        ("user", {"user": "", "password": SECRET}),
        ("user", {"user": 1, "password": SECRET}),
        ("password", {"user": "alice", "password": b"bytes"}),
    ],
)
def test_a_user_goes_with_a_password(front: Front, argument: str, given: dict[str, object]) -> None:
    with pytest.raises((TypeError, ValueError), match=argument) as caught:
        front.Etcd("127.0.0.1:1", **given)  # type: ignore[arg-type]
    assert SECRET not in str(caught.value)
