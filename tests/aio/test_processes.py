"""Programs that use asyncio in their own ways: how they end, and what they print meanwhile.

All run with ``-X dev -W error``: asyncio in its debug mode, no warning forgiven.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from etcd_election.aio import ElectionClient
from tests.support.etcd_server import EtcdServer
from tests.support.raw import RawEtcd
from tests.support.waiting import eventually

from .conftest import queue_of

PRELUDE = """
import asyncio, gc, logging, os, sys, threading
from etcd_election.aio import *
endpoint, name, kind = sys.argv[1:]
if kind == "uvloop":
    import uvloop
    new_event_loop = uvloop.new_event_loop
else:
    new_event_loop = asyncio.new_event_loop
# In debug mode asyncio warns of slow callbacks, which are the machine's.
logging.getLogger("asyncio").setLevel(logging.ERROR)
kept = []

def run(main):
    # As asyncio.run, which takes no kind of loop before Python 3.12.
    loop = new_event_loop()
    try:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(main)
    finally:
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        asyncio.set_event_loop(None)
        loop.close()

async def lead(etcd, name):
    client = ElectionClient(etcd, name, ttl=2)
    return client, await client.campaign("leader")

async def leave_all_open(name=name):
    etcd = Etcd(endpoint)
    client, leadership = await lead(etcd, name)
    waiter = ElectionClient(etcd, name, ttl=60)
    waiting = asyncio.create_task(waiter.campaign("waiter"))
    observer = client.observe()
    await observer.next()
    observing = asyncio.create_task(observer.next())
    while len(await client.candidates()) < 2:
        await asyncio.sleep(0.01)
    kept.append((etcd, client, leadership, waiter, waiting, observer, observing))
"""

PROGRAMS = {
    "with all left open": """
        run(leave_all_open())
    """,
    "three times with all left open": """
        for turn in range(3):
            run(leave_all_open(f"{name}-{turn}"))
    """,
    "with a clean-up that the end of the loop cancels": """
        async def main():
            await leave_all_open()
            kept[0][4].cancel()
            await asyncio.sleep(0)
        run(main())
    """,
    "with a loop closed early": """
        loop = new_event_loop()
        async def main():
            etcd = Etcd(endpoint)
            client, leadership = await lead(etcd, name)
            observer = client.observe()
            await observer.next()
            kept.append((etcd, client, leadership, observer))
        loop.run_until_complete(main())
        loop.close()
        leadership = kept[0][2]
        assert leadership.held
        gone = threading.Event()
        leadership.on_lost(lambda _: None)
        # Nobody renews any more, and it knows by itself.
        while leadership.held:
            gone.wait(0.05)
        assert leadership.lost is LostReason.SESSION_EXPIRED
    """,
    "with a loop closed early, and then another that leads on": """
        loop = new_event_loop()
        async def first():
            etcd = Etcd(endpoint)
            client, leadership = await lead(etcd, name)
            observer = client.observe()
            await observer.next()
            kept.append((etcd, client, leadership, observer))
        loop.run_until_complete(first())
        loop.close()
        async def second():
            async with Etcd(endpoint) as etcd:
                client, leadership = await lead(etcd, name + "-second")
                # For longer than the ttl.
                assert not await leadership.wait_lost(3.0)
            # What the first loop has left can still be closed.
            for thing in (kept[0][3], kept[0][1], kept[0][0]):
                await thing.close()
        run(second())
    """,
    "with two loops in two threads": """
        failed = []
        async def main(number):
            async with Etcd(endpoint) as etcd:
                for _ in range(20):
                    client, leadership = await lead(etcd, f"{name}-{number}")
                    assert leadership.held
                    await client.close()
        def thread(number):
            try:
                run(main(number))
            except BaseException as error:
                failed.append(error)
        threads = [threading.Thread(target=thread, args=(number,)) for number in range(2)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        assert not failed, failed
    """,
    "that goes from loop to loop": """
        etcd = Etcd(endpoint)
        client = ElectionClient(etcd, name, ttl=2)
        async def first():
            async with await client.campaign("v"):
                pass
        run(first())
        async def second():
            for call in (client.leader, lambda: client.campaign("v"), etcd.open, client.resign):
                try:
                    await call()
                    raise AssertionError("no error")
                except RuntimeError as error:
                    assert "make one for each loop" in str(error)
            await client.close()
            await etcd.close()
        run(second())
    """,
    "that forks after use": """
        async def main():
            etcd = Etcd(endpoint)
            client, leadership = await lead(etcd, name)
            pid = os.fork()
            if pid == 0:
                told = [leadership.held, leadership.lost is LostReason.FORKED]
                other = ElectionClient(endpoint, "other")
                for call in (client.leader, lambda: client.campaign("v"), etcd.open, other.open):
                    try:
                        told.append(await call())
                    except ClientClosed as error:
                        told.append("fork" in str(error))
                await leadership.resign()
                await client.close()
                await etcd.close()
                os._exit(0 if told == [False, True, True, True, True, True] else 1)
            assert os.waitpid(pid, 0)[1] == 0
            assert not await leadership.wait_lost(2.5)
            await leadership.proclaim("still")
            await etcd.close()
        run(main())
    """,
    "that forks before use": """
        client = ElectionClient(endpoint, name, ttl=5)
        async def main():
            async with client, await client.campaign("v") as leadership:
                assert leadership.held
        pid = os.fork()
        run(main())
        if pid:
            assert os.waitpid(pid, 0)[1] == 0
    """,
}


def program(body: str, endpoint: str, name: str, kind: str, *flags: str) -> list[str]:
    script = PRELUDE + textwrap.dedent(body)
    return [sys.executable, *(flags or ("-X", "dev", "-W", "error")), "-c", script,
            endpoint, name, kind]  # fmt: skip


@pytest.mark.leaves_lease
@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
@pytest.mark.parametrize("case", list(PROGRAMS))
def test_a_program(
    server: EtcdServer, election_name: str, raw: RawEtcd, case: str, kind: str
) -> None:
    began_at = time.monotonic()
    done = subprocess.run(
        program(PROGRAMS[case], server.endpoint, election_name, kind),
        # See tests/contract/test_process.py: its own handlers cannot cope with grpc.aio's thread.
        env={**os.environ, "GRPC_ENABLE_FORK_SUPPORT": "false"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert time.monotonic() - began_at < 20
    assert {pair.value for pair in raw.range(election_name, prefix=True)} <= {b"leader"}
    # A leader that nobody could resign any more goes with its lease; a waiter's has a minute.
    eventually(lambda: not raw.lease_leases(), 15.0, "the leases were renewed on")


COLLECTED = """
    async def main():
        etcd = Etcd(endpoint)
        client, leadership = await lead(etcd, name)
        await client.observe().next()
    run(main())
    gc.collect()
"""


@pytest.mark.leaves_lease
@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_what_was_collected_unclosed_warns_and_says_nothing_else(
    server: EtcdServer, election_name: str, kind: str
) -> None:
    done = subprocess.run(
        program(COLLECTED, server.endpoint, election_name, kind, "-X", "dev"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    said = [line for line in done.stderr.splitlines() if not line.startswith("  ")]
    assert said, "no warning"
    assert [line for line in said if "ResourceWarning: unclosed " not in line] == []


INTERRUPTED = """
    async def main():
        async with ElectionClient(endpoint, name, ttl=60) as client:
            await client.campaign("waiter")
    asyncio.run(main())
"""


async def test_ctrl_c_ends_a_waiting_program_which_has_left_nothing_then(
    server: EtcdServer, election_name: str, raw: RawEtcd
) -> None:
    async with ElectionClient(server.endpoint, election_name) as leader:
        await leader.campaign("leader")
        process = subprocess.Popen(
            program(INTERRUPTED, server.endpoint, election_name, "asyncio"),
            stderr=subprocess.PIPE,
            text=True,
        )
        await queue_of(raw, election_name, 2)
        interrupted_at = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, said = await asyncio.to_thread(process.communicate)
        assert process.returncode == -signal.SIGINT
        assert said.splitlines()[-1] == "KeyboardInterrupt"
        assert said.count("Traceback") <= 2, said
        assert time.monotonic() - interrupted_at < 5
        assert len(raw.candidates(election_name)) == 1
