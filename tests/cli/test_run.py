"""`run`, where nothing fails: the command's life, its signals, its exit code, and ours."""

from __future__ import annotations

import json
import os
import signal
import sys
from functools import partial
from pathlib import Path

import pytest

from etcd_election._cli import running
from tests.support.raw import RawEtcd
from tests.support.waiting import eventually

from .conftest import PATIENCE, Cli, Log, Program, alive, job

QUICK = ("--grace", "200ms")
"""For jobs that have to be killed."""


def both_heard(log: Log, number: signal.Signals) -> bool:
    return len(log.lines(number.name)) == 2


def sleeper() -> list[str]:
    return ["--", "sleep", "60"]


def leads(raw: RawEtcd, name: str, value: str) -> None:
    """Waits until that candidate is the first in the queue."""
    eventually(
        lambda: [pair.value for pair in raw.range(f"{name}/", prefix=True)][:1] == [value.encode()],
        PATIENCE,
        f"{value} does not lead",
    )


def queued(raw: RawEtcd, name: str, count: int) -> None:
    eventually(
        lambda: len(raw.range(f"{name}/", prefix=True)) == count, PATIENCE, "not in the queue"
    )


@pytest.mark.smoke
def test_the_command_finds_token_name_and_value_in_its_environment(
    cli: Cli, at: str, election_name: str, raw: RawEtcd
) -> None:
    before = raw.put("revision", "of now")
    raw.delete("revision")
    script = 'echo "$ETCD_ELECTION_TOKEN,$ETCD_ELECTION_NAME,$ETCD_ELECTION_VALUE"; exit 7'
    program = cli("run", election_name, at, "--value", "höst 1", "--", "sh", "-c", script)
    assert program.wait() == 7
    token, name, value = program.out.strip().split(",")
    assert int(token) > before
    assert (name, value) == (election_name, "höst 1")
    assert program.err == "", "silent while all is well"
    assert raw.range(f"{election_name}/", prefix=True) == []


def test_the_next_one_starts_when_the_command_of_the_first_is_over(
    cli: Cli, at: str, election_name: str, log: Log, raw: RawEtcd
) -> None:
    first = cli("run", election_name, at, *QUICK, *job(log, "child", "status=3"))
    token = log.begun(1)
    second = cli("run", election_name, at, *job(log))
    queued(raw, election_name, 2)
    first.send(signal.SIGTERM)
    assert first.wait() == 3, "the exit code of a command that took TERM for a reason to end"
    assert log.begun(2) > token
    assert log.never_overlap()
    second.send(signal.SIGTERM)
    assert second.wait() == 0
    told = {line.who for line in log.lines("SIGTERM", token)}
    assert told == {"main", "child"}, "the whole group was told"


def test_signals_are_passed_on_to_the_whole_group(
    cli: Cli, at: str, election_name: str, log: Log
) -> None:
    program = cli("run", election_name, at, *QUICK, *job(log, "child"))
    log.begun(1)
    eventually(lambda: {line.who for line in log.lines()} == {"main", "child"}, PATIENCE)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        program.send(number)
        eventually(partial(both_heard, log, number), PATIENCE, f"not both heard {number.name}")
    program.send(signal.SIGTERM)
    assert program.wait() == 0


def test_ctrl_z_stops_the_command_too_and_both_go_on(
    cli: Cli, at: str, election_name: str, log: Log
) -> None:
    program = cli("run", election_name, at, "--ttl", "10", *job(log))
    log.begun(1)
    program.send(signal.SIGTSTP)
    _, status = os.waitpid(program.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status), "so that a shell sees it"
    stopped = [log.lines()[-1]]

    def stands_still() -> bool:
        stopped.append(log.lines()[-1])
        return stopped[-1] == stopped[-2]

    eventually(stands_still, PATIENCE, interval=0.1)
    program.send(signal.SIGCONT)
    eventually(lambda: log.lines("SIGCONT"), PATIENCE, "the command does not go on")
    program.send(signal.SIGTERM)
    assert program.wait() == 0
    assert len(log.tokens()) == 1


def test_who_waits_ends_at_once_and_leaves_nothing(
    cli: Cli, at: str, election_name: str, raw: RawEtcd
) -> None:
    first = cli("run", election_name, at, "--value", "first", *sleeper())
    leads(raw, election_name, "first")
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    others = [cli("run", election_name, at, *sleeper()) for _ in numbers]
    queued(raw, election_name, 4)
    for other, number in zip(others, numbers, strict=True):
        other.send(signal.SIGUSR1)
        other.send(number)
    assert [other.wait() for other in others] == [128 + number for number in numbers]
    assert [other.err for other in others] == ["", "", ""]
    queued(raw, election_name, 1)
    first.send(signal.SIGTERM)
    assert first.wait() == 128 + signal.SIGTERM, "what ended the command"


def test_a_job_for_one_host_is_done_once_however_soon_it_is_over(
    cli: Cli, at: str, election_name: str, raw: RawEtcd
) -> None:
    once = ["run", election_name, at, "--once"]
    first = cli(*once, "--wait", "0", "--hold", "1m", "--verbose", "--", "true")
    eventually(lambda: "has ended with 0" in first.err, PATIENCE)
    others = [
        cli(*once, "--wait", "0", "--", "true"),
        cli(*once, "--wait", "300ms", "--", "true"),
        cli(*once, "--wait", "0", "--quiet", "--", "true"),
    ]
    assert [other.wait() for other in others] == [75, 75, 75]
    for other in others[:2]:
        assert other.err.count("\n") == 1
        assert "not elected" in other.err
    assert others[2].err == "", "for cron, which mails whatever is said"
    first.send(signal.SIGTERM)
    assert first.wait() == 0, "the command's own, for it was over"
    assert raw.range(f"{election_name}/", prefix=True) == []


def test_what_the_command_leaves_of_its_group_is_ended_with_it(
    cli: Cli, at: str, election_name: str, log: Log
) -> None:
    inner = " ".join(job(log, "stubborn")[1:])
    script = f"{inner} & while [ ! -s {log.path} ]; do sleep 0.01; done; exit 5"
    program = cli("run", election_name, at, "--grace", "300ms", "--", "sh", "-c", script)
    assert program.wait() == 5
    assert log.all_dead()
    assert len(log.lines("SIGTERM")) == 1, "asked first"


def test_a_command_that_cannot_run_is_refused_before_it_is_this_hosts_turn(cli: Cli) -> None:
    program = cli("run", "x", "--endpoints=127.0.0.1:1", "--", "no-such-program")
    assert program.wait() == 127
    assert "no such program" in program.err
    for path in (__file__, "/"):
        assert running._missing(path) == (126, "it is no file that may be executed")
    assert running._missing("sh") is running._missing("/bin/sh") is None


def test_a_command_that_the_system_refuses_gives_leadership_up(
    cli: Cli, at: str, election_name: str, tmp_path: Path, raw: RawEtcd
) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/no/such/interpreter\n")
    broken.chmod(0o755)
    program = cli("run", election_name, at, "--hold", "1m", "--", str(broken))
    assert program.wait() == 126
    assert "cannot run" in program.err
    assert raw.range(f"{election_name}/", prefix=True) == []


def test_json_tells_what_happens(cli: Cli, at: str, election_name: str) -> None:
    program = cli("run", election_name, at, "--json", "--", "sh", "-c", "exit 4")
    assert program.wait() == 4
    told = [json.loads(line) for line in program.err.splitlines()]
    assert [fact["event"] for fact in told] == ["elected", "started", "ended"]
    assert told[0]["name"] == election_name
    assert told[2]["status"] == 4


def test_files_and_ignored_signals_are_handed_on(
    cli: Cli, at: str, election_name: str, tmp_path: Path
) -> None:
    script = (
        "import os, signal, sys\n"
        "os.write(int(sys.argv[1]), b'written')\n"
        "print(*(int(signal.getsignal(n)) for n in (signal.SIGHUP, signal.SIGTERM)))\n"
        "print(os.getpid() == os.getpgrp(), signal.pthread_sigmask(signal.SIG_BLOCK, []))\n"
    )
    # The outer one stands for whoever starts us: a shell with nohup and a further open file.
    outer = (
        "import os, signal, sys\n"
        "number = os.open('further', os.O_CREAT | os.O_WRONLY)\n"
        "os.set_inheritable(number, True)\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "command = sys.argv[1:] + [str(number)]\n"
        "os.execv(command[0], command)\n"
    )
    inner = [sys.executable, "-I", "-S", "-c", script]
    program = cli("run", election_name, at, "--", sys.executable, "-c", outer, *inner)
    assert program.wait() == 0
    assert (tmp_path / "further").read_text() == "written"
    assert program.out.splitlines()[0] == "1 0", "SIG_IGN, SIG_DFL"


def test_the_guardian_goes_with_us(cli: Cli, at: str, election_name: str, log: Log) -> None:
    program = cli("run", election_name, at, *job(log))
    log.begun(1)
    guardian = program.guardian()
    program.send(signal.SIGTERM)
    assert program.wait() == 0
    assert not alive(guardian)


def last_words(program: Program) -> str:
    return program.err.splitlines()[-1]


def test_where_the_guardian_is_killed_the_command_dies_with_it(
    cli: Cli, at: str, election_name: str, log: Log, raw: RawEtcd
) -> None:
    program = cli("run", election_name, at, *job(log, "child", "stubborn"))
    log.begun(1)
    eventually(lambda: {line.who for line in log.lines()} == {"main", "child"}, PATIENCE)
    os.kill(program.guardian(), signal.SIGKILL)
    assert program.wait() == 1
    assert log.all_dead()
    assert "guardian" in last_words(program)
    assert raw.range(f"{election_name}/", prefix=True) == []
