"""The command line, read without a process: what is refused and how, what is made of the rest."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from etcd_election import Leader
from etcd_election._cli import entries, options
from etcd_election._cli.connecting import UsageError, chosen
from etcd_election._cli.durations import seconds
from etcd_election._cli.exits import TABLE, Exit, judged
from etcd_election._core import status
from etcd_election._core.effects import Failure

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = ["run", "observe", "leader", "candidates"]


@pytest.mark.parametrize(
    ("text", "duration"),
    [("5", 5), ("2.5", 2.5), (".5", 0.5), ("500ms", 0.5), ("1m30s", 90), ("2h", 7200), ("0", 0)],
)
def test_durations(text: str, duration: float) -> None:
    assert seconds(text) == pytest.approx(duration)


@pytest.mark.parametrize("text", ["", "-1", "5x", "s", "1e3", "inf", "nan", "5 s", "9" * 30, "٣"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|too long"):
        seconds(text)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "the following arguments are required: COMMAND"),
        ("lead x", "invalid choice: 'lead'"),
        ("leader", "the following arguments are required: NAME"),
        ("leader x y", "unrecognized arguments: y; see etcd-election leader --help"),
        ("leader x -- y", "takes nothing after --"),
        ("leader x --endpoint e", "unrecognized arguments: --endpoint"),
        ("leader x --via grpc", "invalid choice: 'grpc'"),
        ("run x", "give the command to run after --"),
        ("run x --", "give the command to run after --"),
        ("run x true", "unrecognized arguments: true; give the command to run after --"),
        ("run x y -- true", "unrecognized arguments: y; see etcd-election run --help"),
        ("run x --ttl 1 -- true", "at least 2"),
        ("run x --ttl 2.5 -- true", "whole number of seconds"),
        ("run x --grace soon -- true", "is no duration"),
        ("run x --ttl 10 --grace 6 -- true", "at most half of the ttl (5 s)"),
        ("run x --wait 5 -- true", "--wait goes with --once"),
        ("run x --quiet --verbose -- true", "not allowed with"),
    ],
)
def test_what_is_refused(line: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        options.job(*options.parse(line.split(" ") if line else []))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("given", "environment", "said"),
    [
        ("--cert c", {}, "belong together"),
        ("", {"ETCDCTL_KEY": "k"}, "belong together"),
        ("--user alice", {}, "without a password"),
        ("", {"ETCDCTL_COMMAND_TIMEOUT": "soon"}, "ETCDCTL_COMMAND_TIMEOUT"),
        ("--timeout 0", {}, "more than 0"),
        ("--endpoints=", {"ETCDCTL_ENDPOINTS": "a:1"}, "--endpoints is empty"),
        ("", {"ETCDCTL_DISCOVERY_SRV": "example.org"}, "give --endpoints"),
    ],
)
def test_what_cannot_be_connected_with(
    given: str, environment: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", None)
    read, _ = options.parse(["leader", "x", *given.split()])
    with pytest.raises(UsageError) as caught:
        chosen(read, environment)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("given", "endpoints"),
    [("--endpoints localhost", "localhost"), ("--endpoints http://h:1 --cacert f", "http")],
)
def test_what_the_library_refuses_is_refused_in_words(
    given: str, endpoints: str, tmp_path: Path
) -> None:
    read, _ = options.parse(["leader", "x", *given.split()])
    with pytest.raises(UsageError, match=endpoints), chosen(read, {}).client("x"):
        pass


def test_options_come_before_variables_and_after_the_command_or_before() -> None:
    variables = {
        "ETCDCTL_ENDPOINTS": "a:1,b:2",
        "ETCDCTL_USER": "alice:in:the:variable",
        "ETCDCTL_COMMAND_TIMEOUT": "1m",
    }
    read, _ = options.parse(["leader", "x"])
    made = chosen(read, variables)
    assert (made.endpoints, made.timeout, made.via) == ("a:1,b:2", 60, "service")
    assert (made.user, made.password) == ("alice", "in:the:variable")
    assert "variable" not in repr(made)
    line = ["--endpoints", "c:3", "leader", "x", "--timeout", "2", "--user", "bob:b", "--via=kv"]
    made = chosen(options.parse(line)[0], variables)
    assert (made.endpoints, made.timeout, made.via) == ("c:3", 2, "kv")
    assert (made.user, made.password) == ("bob", "b")
    made = chosen(options.parse(["leader", "x", "--user", "b:b"])[0], {"ETCDCTL_PASSWORD": "p"})
    assert (made.user, made.password) == ("b:b", "p"), "as etcdctl has it"
    made = chosen(options.parse(["leader", "x"])[0], {})
    assert (made.endpoints, made.user, made.tls) == ("127.0.0.1:2379", None, None)


def test_defaults_of_run() -> None:
    read, command = options.parse(["run", "x", "--", "a", "--", "--json"])
    made = options.job(read, command)
    assert made.command == ("a", "--", "--json")
    assert (made.value, made.ttl, made.grace) == (socket.gethostname(), 15, 5)


def test_every_exit_code_is_in_every_help_and_in_the_readme(
    capsys: pytest.CaptureFixture[str],
) -> None:
    readme = (ROOT / "README.md").read_text()
    for code in Exit:
        assert re.search(rf"^  {code} +\S", TABLE, re.MULTILINE)
        assert re.search(rf"^\| {code} \|", readme, re.MULTILINE)
    for command in [[], *([name] for name in COMMANDS)]:
        with pytest.raises(SystemExit):
            options.parse([*command, "--help"])
        text = capsys.readouterr().out
        assert TABLE in text
        assert "examples:" in text
        assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
    "command",
    [
        line.strip()
        for text in (options._EXAMPLES, options._RUN_EXAMPLES, options._OBSERVE_EXAMPLES)
        for line in text.replace("\\\n", "").splitlines()
        if line.strip().startswith("etcd-election")
    ],
)
def test_examples_can_be_read(command: str) -> None:
    _, *words = command.partition("|")[0].split()
    options.parse(words)


def test_an_error_that_nobody_thought_of_is_one_line_and_no_traceback() -> None:
    assert judged(KeyError("x"), "n") == (1, "KeyError: 'x'; --debug shows where")
    denied = status.error("leader", Failure("UNKNOWN", "etcdserver: permission denied"))
    _, text = judged(denied, "a/b")
    assert text.endswith("that begin with 'a/b/'); see 'etcdctl role grant-permission'")


def test_what_others_wrote_cannot_speak_to_the_terminal() -> None:
    leader = Leader(
        name=b"n",
        key=b"n/\x1b1",
        value=b"a\nb\x9b\xff",
        lease_id=255,
        token=7,
        mod_revision=8,
        revision=9,
    )
    assert entries.line(leader) == "a\\nb\\x9b\\xff  token 7  key n/\\x1b1"
    assert entries.facts("leader", leader)["lease"] == "ff"
