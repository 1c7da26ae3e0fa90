"""`run` where leadership is lost, or we are: the command is over before another one begins.

Jobs log that they are alive by CLOCK_MONOTONIC, every 5 ms and from every process of their group.
"""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.support.etcd_server import EtcdServer
from tests.support.raw import RawEtcd
from tests.support.waiting import eventually

from .conftest import PATIENCE, Cli, Log, Program, alive, job

TTL = ("--ttl", "3")


def queued(raw: RawEtcd, name: str, count: int) -> None:
    eventually(lambda: len(raw.candidates(name)) == count, PATIENCE, "not in the queue")


def whole_group_runs(log: Log) -> None:
    eventually(lambda: {line.who for line in log.lines()} == {"main", "child"}, PATIENCE)


def pair(cli: Cli, at: str, name: str, log: Log, raw: RawEtcd, *manners: str) -> list[Program]:
    """Two hosts: the first one leads, the second one waits."""
    first = cli("run", name, at, *TTL, *job(log, *manners))
    log.begun(1)
    second = cli("run", name, at, *TTL, *job(log))
    queued(raw, name, 2)
    return [first, second]


@pytest.mark.smoke
@pytest.mark.leaves_lease
def test_killed_by_9_the_group_is_dead_before_another_host_begins(
    cli: Cli, at: str, election_name: str, log: Log, raw: RawEtcd
) -> None:
    first, second = pair(cli, at, election_name, log, raw, "child", "stubborn")
    whole_group_runs(log)
    guardian = first.guardian()
    killed_at = time.monotonic()
    first.send(signal.SIGKILL)
    token = log.begun(2)
    assert log.never_overlap()
    assert log.span(log.tokens()[0])[1] - killed_at < 1.0, "at once, not with the lease"
    eventually(lambda: not alive(guardian), PATIENCE, "the guardian stays")
    second.send(signal.SIGTERM)
    assert second.wait() == 0
    assert token > log.tokens()[0]


def test_stopped_the_group_is_dead_by_the_deadline_and_the_term_is_over(
    cli: Cli, at: str, election_name: str, log: Log, raw: RawEtcd
) -> None:
    first, second = pair(cli, at, election_name, log, raw, "child", "stubborn")
    whole_group_runs(log)
    first.send(signal.SIGSTOP)
    log.begun(2)
    assert log.never_overlap()
    first.send(signal.SIGCONT)
    queued(raw, election_name, 2)
    second.send(signal.SIGTERM)
    assert second.wait() == 0
    log.begun(3)
    assert log.never_overlap()
    first.send(signal.SIGQUIT)
    assert first.wait() == 128 + signal.SIGQUIT


def test_without_etcd_the_command_gets_term_and_then_kill_before_the_deadline(
    cli: Cli, own_server: EtcdServer, election_name: str, log: Log
) -> None:
    at = f"--endpoints={own_server.endpoint}"
    program = cli("run", election_name, at, *TTL, "--once", *job(log, "child", "stubborn"))
    meek = cli("run", f"{election_name}-2", at, *TTL, "--once", "--verbose", "--", "sleep", "60")
    token = log.begun(1)
    whole_group_runs(log)
    eventually(lambda: "the command runs" in meek.err, PATIENCE)
    own_server.pause()
    paused_at = time.monotonic()
    assert program.wait() == 76, "leadership was lost before the command was over"
    _, last = log.span(token)
    told = [line.at for line in log.lines("SIGTERM")]
    assert len(told) == 2
    assert last - paused_at < 3, "nobody else can lead before, however late it was renewed"
    assert last - max(told) > 0.2, "there was a grace"
    assert program.err.count("is lost") == 1
    # It ends so soon that the guardian may be the first to know.
    assert meek.wait() == 76
    assert meek.err.count("is lost") == 1
    own_server.resume()


@pytest.mark.parametrize("how", ["deleted", "revoked"])
def test_a_key_that_is_gone_ends_the_command_at_once_and_it_campaigns_again(
    cli: Cli, at: str, election_name: str, log: Log, raw: RawEtcd, how: str
) -> None:
    grace = ["--grace", "400ms"]
    program = cli("run", election_name, at, "--ttl", "10", *grace, *job(log, "child", "stubborn"))
    token = log.begun(1)
    whole_group_runs(log)
    (key,) = raw.candidates(election_name)
    lost_at = time.monotonic()
    if how == "deleted":
        raw.delete(key.key)
    else:
        raw.revoke(key.lease)
    log.begun(2)
    assert log.never_overlap()
    told = min(line.at for line in log.lines("SIGTERM", token))
    last = log.span(token)[1]
    assert 0.2 < last - told < 3, "killed after the grace, long before the lease could have run out"
    assert told - lost_at < 3, "told at once"
    assert "(key deleted)" in program.err or "(session expired)" in program.err
    program.send(signal.SIGQUIT)
    assert program.wait() == 128 + signal.SIGQUIT


def test_a_command_that_ends_when_it_is_told_to_is_not_done(
    cli: Cli, at: str, election_name: str, log: Log, raw: RawEtcd
) -> None:
    program = cli("run", election_name, at, "--ttl", "10", *job(log))
    log.begun(1)
    (key,) = raw.candidates(election_name)
    raw.delete(key.key)
    log.begun(2)
    assert len(log.lines("SIGTERM")) == 1
    program.send(signal.SIGTERM)
    assert program.wait() == 0
    assert log.never_overlap()


def test_an_outage_is_outlasted_also_at_the_beginning(
    cli: Cli, own_server: EtcdServer, election_name: str, log: Log
) -> None:
    own_server.kill()
    options = [f"--endpoints={own_server.endpoint}", "--timeout", "500ms", *TTL]
    program = cli("run", election_name, *options, *job(log))
    eventually(
        lambda: "campaigning again" in program.err, PATIENCE, "it does not say what is wrong"
    )
    own_server.start()
    log.begun(1)
    own_server.kill()
    eventually(log.all_dead, PATIENCE, "the command outlives the lease")
    own_server.start()
    log.begun(2)
    program.send(signal.SIGTERM)
    assert program.wait() == 0
    assert log.never_overlap()


def test_a_guardian_that_stands_still_is_stood_in_for(
    cli: Cli, own_server: EtcdServer, election_name: str, log: Log
) -> None:
    at = f"--endpoints={own_server.endpoint}"
    program = cli("run", election_name, at, *TTL, "--once", *job(log, "child", "stubborn"))
    token = log.begun(1)
    whole_group_runs(log)
    guardian = program.guardian()
    os.kill(guardian, signal.SIGSTOP)
    own_server.kill()
    killed_at = time.monotonic()
    eventually(log.all_dead, PATIENCE, "the command outlives the lease")
    assert log.span(token)[1] - killed_at < 3, "nobody else can lead before"
    os.kill(guardian, signal.SIGCONT)
    assert program.wait() == 76
