"""`leader`, `candidates`, `observe`: on a terminal and elsewhere; errors; how etcd is reached."""

from __future__ import annotations

import base64
import json
import os
import pty
import signal
from pathlib import Path

import pytest

from etcd_election import ElectionClient
from tests.support.authority import Authority
from tests.support.etcd_server import EtcdServer
from tests.support.users import ask_for_users
from tests.support.waiting import eventually

from .conftest import PATIENCE, Cli

ODD = b"h\xc3\xb6st \xff\x1b[2J"
"""Text, a byte that is none, and what would clear a terminal."""


def test_one_json_object_a_line_where_nobody_looks(
    cli: Cli, server: EtcdServer, at: str, election_name: str
) -> None:
    vacant = cli("leader", election_name, at)
    assert vacant.wait() == 3
    assert vacant.said() == [{"state": "vacant", "name": election_name}]
    assert vacant.err == f"etcd-election: nobody leads {election_name!r}\n"
    with ElectionClient(server.endpoint, election_name) as client, client.campaign(ODD) as led:
        program = cli("leader", election_name, at)
        assert program.wait() == 0
        (fact,) = program.said()
        assert base64.b64decode(fact["value_base64"]) == ODD
        assert fact["value"] == "höst \ufffd\x1b[2J"
        assert base64.b64decode(fact["key_base64"]) == led.key
        assert (fact["state"], fact["name"]) == ("leader", election_name)
        assert (fact["token"], fact["lease"]) == (led.token, f"{led.lease_id:x}")
        queue = cli("candidates", election_name, f"--endpoints={server.endpoint}", "--json")
        assert queue.wait() == 0
        assert [entry["state"] for entry in queue.said()] == ["leader"]
    empty = cli("candidates", election_name, at)
    assert (empty.wait(), empty.out, empty.err) == (0, "", "")


def test_a_terminal_gets_lines_for_people_and_no_control_characters(
    cli: Cli, server: EtcdServer, at: str, election_name: str
) -> None:
    ours, theirs = pty.openpty()
    with ElectionClient(server.endpoint, election_name) as client, client.campaign(ODD) as led:
        program = cli("observe", election_name, at, output=theirs)
        os.close(theirs)
        seen = b""
        while not seen.endswith(b"\n"):
            seen += os.read(ours, 1000)
    assert f"token {led.token}" in seen.decode()
    assert "höst \\xff\\x1b[2J" in seen.decode()
    program.send(signal.SIGINT)
    assert program.wait() == 130
    os.close(ours)
    assert program.err == ""


def test_observe_follows_leaders_and_vacancies_until_it_is_told_to_end(
    cli: Cli, server: EtcdServer, at: str, election_name: str
) -> None:
    program = cli("observe", election_name, at)
    eventually(lambda: [fact["state"] for fact in program.said()] == ["vacant"], PATIENCE)
    with ElectionClient(server.endpoint, election_name) as client:
        with client.campaign("one"):
            eventually(lambda: program.said()[-1].get("value") == "one", PATIENCE)
        eventually(lambda: program.said()[-1]["state"] == "vacant", PATIENCE)
    assert all("time" in fact for fact in program.said())
    program.send(signal.SIGTERM)
    assert program.wait() == 143
    assert program.err == ""


def test_observe_ends_when_nobody_reads(cli: Cli, at: str, election_name: str) -> None:
    ours, theirs = os.pipe()
    program = cli("observe", election_name, at, output=theirs)
    os.close(theirs)
    assert os.read(ours, 1000)
    os.close(ours)
    assert program.wait() == 141
    assert program.err == ""


def test_help_into_a_closed_pipe_says_nothing(cli: Cli) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    program = cli("--help", output=theirs)
    os.close(theirs)
    assert program.wait() == 141
    assert program.err == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_an_error_in_one_line(cli: Cli, at: str, election_name: str) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    program = cli("leader", election_name, at, output=full)
    os.close(full)
    assert program.wait() == 1
    assert program.err.count("\n") == 1
    assert "No space left" in program.err


def test_without_etcd_it_says_so_in_one_line(cli: Cli, election_name: str) -> None:
    nowhere = ["--endpoints=127.0.0.1:1", "--timeout=300ms"]
    program = cli("candidates", election_name, *nowhere)
    json_one = cli("observe", election_name, "--json", *nowhere)
    assert (program.wait(), json_one.wait()) == (69, 69)
    assert program.err.count("\n") == 1
    assert "--endpoints" in program.err
    assert json.loads(json_one.err)["exit"] == 69


def test_variables_mean_what_they_mean_to_etcdctl_and_options_win(
    cli: Cli, server: EtcdServer, election_name: str
) -> None:
    bad = {"ETCDCTL_ENDPOINTS": "127.0.0.1:1", "ETCDCTL_COMMAND_TIMEOUT": "300ms"}
    failed = cli("leader", election_name, **bad)
    assert cli("--endpoints", server.endpoint, "leader", election_name, **bad).wait() == 3
    assert failed.wait() == 69


def test_tls_and_what_is_wrong_with_it(cli: Cli, etcd_binary: str, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("known", "unknown")]
    for folder in folders:
        folder.mkdir()
    authority, other = map(Authority, folders)
    client = authority.issue(common_name="client")
    cert, key = authority.write(client.cert), authority.write(client.key)
    with EtcdServer(etcd_binary, tls=authority.serve(client_ca=authority)) as server:
        at = f"--endpoints=https://{server.endpoint}"
        options = [f"--cacert={authority.path}", f"--cert={cert}", f"--key={key}"]
        good = cli("leader", "x", at, *options)
        known = {"ETCDCTL_CERT": str(cert), "ETCDCTL_KEY": str(key)}
        by_variables = cli("leader", "x", at, ETCDCTL_CACERT=str(authority.path), **known)
        wrong = cli("leader", "x", at, f"--cacert={other.path}")
        nobody = cli("leader", "x", at, f"--cacert={authority.path}")
        assert (good.wait(), by_variables.wait()) == (3, 3), good.err
        assert (wrong.wait(), nobody.wait()) == (69, 69)
        assert "--cacert" in wrong.err
        assert "--cert" in nobody.err
        assert "TLS." not in wrong.err + nobody.err, "that is Python's word for it"
        assert wrong.err.count("\n") == nobody.err.count("\n") == 1, wrong.err + nobody.err
    missing = cli("leader", "x", "--cacert=/no/such/file")
    assert missing.wait() == 2
    assert "/no/such/file" in missing.err


def test_users(cli: Cli, own_server: EtcdServer) -> None:
    ask_for_users(own_server)
    at = f"--endpoints={own_server.endpoint}"
    good = [
        cli("run", "mine/jobs", at, "--user=alice:alice", "--", "true"),
        cli("run", "mine/fine", at, "--user=alice", "--", "true", ETCDCTL_PASSWORD="alice"),
    ]
    assert [program.wait() for program in good] == [0, 0]
    wrong = cli("run", "mine/jobs", at, "--user=alice:seCret", "--", "true")
    nobody = cli("leader", "mine/jobs", at)
    foreign = cli("run", "theirs", at, "--user=alice:alice", "--", "true")
    silent = cli("leader", "mine/jobs", at, "--user=alice")
    assert [p.wait() for p in (wrong, nobody, foreign, silent)] == [77, 77, 77, 2]
    assert "seCret" not in wrong.err
    assert "'theirs/'" in foreign.err
    assert "ETCDCTL_PASSWORD" in silent.err
    for program in (wrong, nobody, foreign, silent):
        assert program.err.count("\n") == 1, program.err
