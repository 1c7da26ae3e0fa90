"""A candidate process: campaigns, leads for a while, resigns, again and again.

It says on stdin what it is to suffer: "gil SECONDS" (a call in C that holds the GIL), "fork" and
"quit". Everything else, signals and the network, is done to it. It ends when stdin does.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import faulthandler
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import etcd_election
from etcd_election import aio

from .believing import Belief, Sampler
from .log import Log
from .naive import Naive
from .secure import USER, Login

FORK_TIMEOUT = 5.0
PAUSE = 0.05

T = TypeVar("T")


class Worker:
    """What all kinds of candidates have in common.

    Attributes:
        args: The command line.
        log: Where all is written down.
        quitting: Set when it is to end.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.log = Log(args.log)
        self.random = random.Random(args.seed)
        self.quitting = threading.Event()
        self.on_quit: Callable[[], None] = lambda: None
        self.sampler = Sampler(self.log)
        self.leadership: etcd_election.Leadership | aio.Leadership | None = None
        self.log.write("start", name=args.name, pid=os.getpid(), front=args.front, via=args.via)

    def hold(self) -> float:
        """For how long to lead this time, in seconds."""
        return float(self.args.hold * (0.25 + 1.5 * self.random.random()))

    def elected(self, leadership: etcd_election.Leadership | aio.Leadership) -> None:
        """A campaign has returned."""
        self.leadership = leadership
        self.sampler.belief = Belief(
            leadership.token, lambda: leadership.held, lambda: leadership.remaining
        )
        self.log.write("term", token=leadership.token, lease=leadership.lease_id)

    def over(self, leadership: etcd_election.Leadership | aio.Leadership) -> None:
        """Leadership has ended by itself."""
        reason = leadership.lost
        self.log.write("lost", token=leadership.token, reason=reason.name if reason else None)

    def failed(self, during: str, error: BaseException) -> None:
        """Something raised; told to quit, a campaign is cancelled as it should be."""
        if self.quitting.is_set() and isinstance(error, etcd_election.CampaignCancelled):
            return
        self.log.write(
            "error",
            during=during,
            kind=type(error).__name__,
            module=type(error).__module__,
            text=str(error)[:300],
        )

    def obey(self) -> None:
        """Does what stdin says, until it ends."""
        for line in sys.stdin:
            order, _, argument = line.strip().partition(" ")
            if order == "gil":
                self.hold_gil(float(argument))
            elif order == "fork":
                self.fork()
            elif order == "quit":
                self.quitting.set()
                self.on_quit()
        os._exit(3)

    def hold_gil(self, seconds: float) -> None:
        """No other Python code runs meanwhile; grpc's own threads do."""
        # In one call: between two, whoever waits for the GIL gets it, and renews a lease.
        poll = ctypes.PyDLL(None).poll
        self.log.write("gil", on=True)
        poll(None, 0, int(seconds * 1000))
        self.log.write("gil", on=False)

    def fork(self) -> None:
        """The child must not believe; the parent goes on."""
        leadership = self.leadership
        child = os.fork()
        if child == 0:
            # Nothing but the question: what else a child may do has tests of its own.
            believes = leadership is not None and leadership.held
            self.log.write("forked", believes=believes)
            os._exit(0)
        deadline = time.monotonic() + FORK_TIMEOUT
        never = threading.Event()
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            if time.monotonic() > deadline:
                self.log.write("fork hangs")
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return
            never.wait(0.01)


def secured(args: argparse.Namespace) -> dict[str, Any]:
    """What a connection is made with besides endpoints."""
    if args.login is None:
        return {}
    return {"tls": args.login.tls(), "user": USER, "password": USER}


def blocking(worker: Worker) -> None:
    """With the blocking front-end."""
    args = worker.args
    etcd = etcd_election.Etcd(args.endpoints, **secured(args))
    client = etcd_election.ElectionClient(etcd, args.election, ttl=args.ttl, via=args.via)

    def quit_() -> None:
        client.cancel_campaign()

    worker.on_quit = quit_
    observer = threading.Thread(target=_observe, args=(worker, client), daemon=True)
    observer.start()
    while not worker.quitting.is_set():
        worker.log.write("campaign")
        try:
            leadership = client.campaign(args.name)
        except Exception as error:  # noqa: BLE001 - which ones are permitted is for the checker
            worker.failed("campaign", error)
            worker.quitting.wait(PAUSE)
            continue
        worker.elected(leadership)
        if _wait_lost(worker, leadership):
            worker.over(leadership)
            continue
        try:
            worker.log.write("resign", token=leadership.token)
            leadership.resign()
        except Exception as error:  # noqa: BLE001
            worker.failed("resign", error)
    try:
        client.close()
        etcd.close()
    except Exception as error:  # noqa: BLE001
        worker.failed("close", error)
    observer.join()


def _observe(worker: Worker, client: etcd_election.ElectionClient) -> None:
    try:
        for leader in client.observe():
            worker.log.write("observed", token=leader.token)
    except Exception as error:  # noqa: BLE001
        worker.failed("observe", error)


def _wait_lost(worker: Worker, leadership: etcd_election.Leadership) -> bool:
    """Leads for a while; True if that ended by itself."""
    until = time.monotonic() + worker.hold()
    while (left := until - time.monotonic()) > 0 and not worker.quitting.is_set():
        if leadership.wait_lost(min(left, 0.2)):
            return True
    return False


async def cooperative(worker: Worker) -> None:
    """With the asyncio front-end."""
    args = worker.args
    loop = asyncio.get_running_loop()
    etcd = aio.Etcd(args.endpoints, **secured(args))
    client = aio.ElectionClient(etcd, args.election, ttl=args.ttl, via=args.via)
    quitting = asyncio.Event()

    def quit_() -> None:
        loop.call_soon_threadsafe(quitting.set)
        loop.call_soon_threadsafe(client.cancel_campaign)

    worker.on_quit = quit_
    observing = asyncio.ensure_future(_observe_too(worker, client))
    while not worker.quitting.is_set():
        worker.log.write("campaign")
        try:
            leadership = await client.campaign(args.name)
        except Exception as error:  # noqa: BLE001
            worker.failed("campaign", error)
            await _within(quitting.wait(), PAUSE)
            continue
        worker.elected(leadership)
        ended = asyncio.ensure_future(leadership.wait_lost(worker.hold()))
        quits = asyncio.ensure_future(quitting.wait())
        await asyncio.wait((ended, quits), return_when=asyncio.FIRST_COMPLETED)
        quits.cancel()
        lost = ended.done() and ended.result()
        ended.cancel()
        if lost:
            worker.over(leadership)
            continue
        try:
            worker.log.write("resign", token=leadership.token)
            await leadership.resign()
        except Exception as error:  # noqa: BLE001
            worker.failed("resign", error)
    try:
        await client.close()
        await etcd.close()
    except Exception as error:  # noqa: BLE001
        worker.failed("close", error)
    await observing


async def _observe_too(worker: Worker, client: aio.ElectionClient) -> None:
    try:
        async for leader in client.observe():
            worker.log.write("observed", token=leader.token)
    except Exception as error:  # noqa: BLE001
        worker.failed("observe", error)


async def _within(awaited: Awaitable[T], timeout: float) -> None:
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(awaited, timeout)


def naive(worker: Worker) -> None:
    """With raw stubs, as one writes it at first."""
    args = worker.args
    while not worker.quitting.is_set():
        worker.log.write("campaign")
        client = Naive(args.endpoints, args.election, args.ttl)
        worker.on_quit = client.close
        try:
            token = client.campaign(args.name)
        except Exception as error:  # noqa: BLE001
            worker.failed("campaign", error)
            client.close()
            worker.quitting.wait(PAUSE)
            continue
        worker.sampler.belief = Belief(token, lambda held=client: held.leads, lambda: 0.0)  # type: ignore[misc]
        worker.log.write("term", token=token, lease=client.lease_id)
        if client.lost.wait(worker.hold()):
            worker.log.write("lost", token=token, reason="keepalive")
        client.close()


def main() -> None:
    """Runs until told to quit."""
    faulthandler.register(signal.SIGUSR1)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="also the value that it proposes")
    parser.add_argument("--log", required=True)
    parser.add_argument("--endpoints", required=True)
    parser.add_argument("--election", required=True)
    parser.add_argument("--ttl", type=int, required=True)
    parser.add_argument("--via", required=True)
    parser.add_argument("--login", type=Login.parse, help="TLS, and a user")
    parser.add_argument("--front", choices=("blocking", "asyncio", "naive"), required=True)
    parser.add_argument("--hold", type=float, default=4.0, help="how long it leads, about")
    parser.add_argument("--seed", type=int, default=0)
    worker = Worker(parser.parse_args())
    threading.Thread(target=worker.obey, name="orders", daemon=True).start()
    if worker.args.front == "blocking":
        blocking(worker)
    elif worker.args.front == "asyncio":
        asyncio.run(cooperative(worker))
    else:
        naive(worker)
    worker.log.write("end")


if __name__ == "__main__":
    main()
