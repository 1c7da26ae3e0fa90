"""Events in asyncio: the way to the loop, and what becomes of their thread when that ends."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from etcd_election.aio import ElectionClient, Etcd, Event
from tests.support.coroutines import until
from tests.support.etcd_server import EtcdServer
from tests.support.waiting import eventually

TERM = ["CampaignStarted", "SessionGranted", "Elected", "LeadershipLost", "SessionEnded"]


class Told:
    def __init__(self) -> None:
        self.kinds: list[str] = []
        self.thread = threading.current_thread()

    def hear(self, event: Event) -> None:
        self.thread = threading.current_thread()
        self.kinds.append(type(event).__name__)

    def over(self) -> bool:
        return self.thread is not threading.current_thread() and not self.thread.is_alive()


async def test_a_callback_gets_to_the_loop_and_may_wait_for_it_while_that_closes(
    server: EtcdServer, election_name: str
) -> None:
    loop = asyncio.get_running_loop()
    sent: list[str] = []
    answered: list[str] = []

    async def answer(kind: str) -> str:
        await asyncio.sleep(0)
        return kind

    def hear(event: Event) -> None:
        kind = type(event).__name__
        loop.call_soon_threadsafe(sent.append, kind)
        answered.append(asyncio.run_coroutine_threadsafe(answer(kind), loop).result(10))

    async with Etcd(server.endpoint, on_event=hear) as etcd:
        await ElectionClient(etcd, election_name, ttl=5).campaign("v")
        await until(lambda: len(answered) == 3)
    assert sent == answered == TERM


@pytest.mark.leaves_lease
def test_what_asyncio_run_leaves_open_tells_all_and_ends_its_thread(
    server: EtcdServer, election_name: str
) -> None:
    told = Told()
    etcd = Etcd(server.endpoint, on_event=told.hear)
    client = ElectionClient(etcd, election_name, ttl=5)

    async def leave_open() -> None:
        await client.campaign("v")

    asyncio.run(leave_open())
    eventually(lambda: told.kinds[:3] == TERM[:3])
    eventually(told.over)
    asyncio.run(etcd.close())


LOOP_CLOSED = """
import asyncio, sys, threading
from etcd_election.aio import ElectionClient, Etcd
elected = threading.Event()

def hear(event):
    if type(event).__name__ == "Elected":
        threads.append(threading.current_thread())
        elected.set()

threads = []
etcd = Etcd(sys.argv[1], on_event=hear)
client = ElectionClient(etcd, "x", ttl=5)
loop = asyncio.new_event_loop()
loop.run_until_complete(client.campaign("v"))
loop.close()
assert elected.wait(10)
print(threads[0].is_alive())
asyncio.run(etcd.close())
threads[0].join(10)
print(threads[0].is_alive())
"""


def test_the_thread_ends_by_close_where_the_loop_was_closed_before(
    own_server: EtcdServer,
) -> None:
    """In a process of its own: asyncio complains of what is left when a loop is closed so."""
    done = subprocess.run(
        [sys.executable, "-c", LOOP_CLOSED, own_server.endpoint],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.split() == ["True", "False"], done.stderr
