"""What the tests of the pure core share: a clock to turn, a scripted front-end, etcd's answers."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message
from hypothesis import HealthCheck, settings

from etcd_election import _core
from etcd_election._core.condition import Condition
from etcd_election._core.effects import (
    Aside,
    Beside,
    Consult,
    Effect,
    Fact,
    Failure,
    Invoke,
    Open,
    Plan,
    Receive,
    Shut,
    Sleep,
    Watch,
    Word,
)
from etcd_election._core.endpoints import Endpoint
from etcd_election._core.leadership import LeadershipState
from etcd_election._core.lease import LeaseClock
from etcd_election._core.link import Link
from etcd_election._core.method import Method
from etcd_election._core.timing import Random
from etcd_election.pb import kv_pb2, rpc_pb2, v3election_pb2
from etcd_election.types import LostReason

NAME = b"jobs"
START = 1000.0
LATE = 1e-6
"""A wait never ends early."""

E = TypeVar("E", bound=Effect)
T = TypeVar("T")

quick = settings(
    max_examples=150,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],  # a loaded machine is no fault of the code
)
"""For properties: enough to find what was broken on purpose, and quick."""

SILENCE = Failure("DEADLINE_EXCEEDED", "Deadline Exceeded")
_NO_CONNECTION = "failed to connect to all addresses; last error: "
HANGS_UP = Failure("UNAVAILABLE", f"{_NO_CONNECTION}UNAVAILABLE: ipv4:...: Socket closed")
WRONG_CA = Failure(
    "UNAVAILABLE",
    f"{_NO_CONNECTION}UNKNOWN: ipv4:...: Tls handshake failed (TSI_PROTOCOL_FAILURE): "
    "SSL_ERROR_SSL: error:1000007d:...:CERTIFICATE_VERIFY_FAILED: unable to get local issuer",
)
REFUSED_CONNECTION = Failure("UNAVAILABLE", "failed to connect to all addresses; last error: ...")
NO_RAFT_LEADER = Failure("UNAVAILABLE", "etcdserver: no leader")
LEASE_NOT_FOUND = Failure("NOT_FOUND", "etcdserver: requested lease not found")
LEASE_EXISTS = Failure("FAILED_PRECONDITION", "etcdserver: lease already exists")
DENIED = Failure("PERMISSION_DENIED", "etcdserver: permission denied")
AUTH_OFF = Failure("FAILED_PRECONDITION", "etcdserver: authentication is not enabled")
NAME_EMPTY = Failure("INVALID_ARGUMENT", "etcdserver: user name is empty")
WRONG_PASSWORD = Failure(
    "INVALID_ARGUMENT", "etcdserver: authentication failed, invalid user ID or password"
)
TOKEN_REFUSED = Failure("UNAUTHENTICATED", "etcdserver: invalid auth token")


class FakeClock:
    """A clock that stands still until it is turned."""

    def __init__(self, now: float = START) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def seeded(seed: int = 7) -> Random:
    """The same numbers in every run."""
    return random.Random(seed).random


def steady(number: float = 0.0) -> Random:
    """Always the same number."""
    return lambda: number


_CORE = str(Path(next(iter(_core.__path__))))


def interrupt(work: Callable[[], object], call: Callable[[], object], *, at: int) -> bool:
    """Works, and calls before step ``at`` (from 1) of the core's code; False if it has fewer.

    As a signal handler does, or another thread: between any two instructions.
    """
    steps = 0

    def trace(frame: FrameType, _event: str, _arg: object) -> Any:
        nonlocal steps
        if not frame.f_code.co_filename.startswith(_CORE):
            return None
        frame.f_trace_opcodes = True
        steps += 1
        if steps == at:
            call()
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return steps >= at


class FakeHost:
    """Notes what plans hand to the background."""

    def __init__(self) -> None:
        self.kept: list[LeaseClock] = []
        self.retired: list[LeaseClock] = []
        self.watched_over: list[LeadershipState] = []
        self.announced: list[tuple[LeadershipState, float]] = []

    def keep(self, lease: LeaseClock) -> None:
        self.kept.append(lease)

    def retire(self, lease: LeaseClock) -> None:
        lease.end(LostReason.CLOSED)
        self.retired.append(lease)

    def watch_over(self, state: LeadershipState) -> None:
        self.watched_over.append(state)

    def announce(self, state: LeadershipState, *, began_at: float) -> None:
        self.announced.append((state, began_at))


def make_link(
    clock: FakeClock,
    *,
    endpoints: int = 1,
    timeout: float = 5.0,
    random: Random | None = None,
    credentials: tuple[str, str] | None = None,
    hosts: Sequence[str] = (),
) -> Link:
    """A connection to etcds named etcd0, etcd1, ...; these hosts are to be looked up."""
    return Link(
        [Endpoint(f"etcd{i}", 2379) for i in range(endpoints)],
        timeout=timeout,
        clock=clock,
        random=seeded() if random is None else random,
        credentials=credentials,
        hosts=hosts,
    )


class Script(Generic[T]):
    """Carries out a plan step by step: each method says which effect must come and what it brings.

    It holds every plan to the contract: no wait of less than nothing, no call without time.
    """

    def __init__(self, plan: Plan[T], clock: FakeClock) -> None:
        self.plan = plan
        self.clock = clock
        self.effect: Effect | None = None
        self.calls: list[Invoke] = []
        self._result: Any = None
        self._error: Exception | None = None
        self._matters: Callable[[Fact], bool] | None = None
        self._send(None)

    def _send(self, value: Any) -> None:
        try:
            self.effect = self.plan.send(value)
        except StopIteration as stop:
            self.effect, self._result = None, stop.value
        except Exception as error:  # noqa: BLE001 - asked for by `raised`
            self.effect, self._error = None, error
        if isinstance(self.effect, (Sleep, Receive)):
            assert self.effect.seconds >= 0
        if isinstance(self.effect, Invoke):
            assert self.effect.timeout > 0
            self.calls.append(self.effect)

    def _expect(self, kind: type[E]) -> E:
        if self._error is not None:
            raise self._error
        effect = self.effect
        assert isinstance(effect, kind), f"{kind.__name__} expected, not {effect}"
        return effect

    def invoke(
        self, method: Method, reply: Message | Failure | Word, *, took: float = 0.001
    ) -> Invoke:
        """A call is made, and answered so much later."""
        effect = self._expect(Invoke)
        assert effect.method is method
        assert took <= effect.timeout + 2 * LATE
        self.clock.advance(took)
        self._send(reply)
        return effect

    def overtaken(self, method: Method, reply: Message | Failure) -> Invoke:
        """A call is made, nobody answers for some time, and then whom it asked beside."""
        effect = self._expect(Invoke)
        assert effect.method is method
        self.clock.advance(effect.beside_after + 0.001)
        self._send(Beside(reply))
        return effect

    def silent(self, method: Method) -> Invoke:
        """A call is made, and nobody answers within its time."""
        effect = self._expect(Invoke)
        return self.invoke(method, SILENCE, took=effect.timeout + LATE)

    def sleep(self, word: Word | None = None) -> Sleep:
        """A pause is made, and passes, or a word ends it."""
        effect = self._expect(Sleep)
        if word is None:
            self.clock.advance(effect.seconds + LATE)
        self._send(word)
        return effect

    def receive(self, fact: Fact | None = None, *, after: float | None = None) -> Receive:
        """The plan waits; a fact comes so much later (at once if not given), or the wait passes."""
        effect = self._expect(Receive)
        if after is None:
            after = effect.seconds + LATE if fact is None else 0.0
        self.clock.advance(after)
        self._send(fact)
        return effect

    def unheard(self, fact: Fact) -> None:
        """The plan waits, and a watch tells what it is not to hear."""
        self._expect(Receive)
        assert self._matters is not None
        assert not self._matters(fact)

    def heard(self, fact: Fact) -> None:
        """The plan waits, and a watch tells, a moment later, what it is to hear."""
        assert self._matters is None or self._matters(fact)
        self.receive(fact, after=0.001)

    def watch(self) -> frozenset[bytes]:
        """The watched keys are replaced."""
        effect = self._expect(Watch)
        self._matters = effect.matters
        self._send(None)
        return effect.keys

    def watch_prefix(self) -> bytes | None:
        """All keys that begin so are watched instead."""
        effect = self._expect(Watch)
        self._send(None)
        assert not effect.keys
        return effect.prefix

    def open(self) -> Open:
        """The long call is opened."""
        effect = self._expect(Open)
        self._send(None)
        return effect

    def shut(self) -> None:
        """The long call is cancelled."""
        self._expect(Shut)
        self._send(None)

    def aside(self, effect: Aside) -> None:
        """This is to be done apart from the calls."""
        assert self._expect(type(effect)) == effect
        self._send(None)

    def consult(self) -> Condition:
        """The user is to be asked; what is answered is a fact to come."""
        effect = self._expect(Consult)
        self._send(None)
        return effect.condition

    def expect(self, kind: type[E]) -> E:
        """What the plan waits for now."""
        return self._expect(kind)

    def returned(self) -> T:
        """The plan is over, with this result."""
        if self._error is not None:
            raise self._error
        assert self.effect is None, f"still at {self.effect}"
        result: T = self._result
        return result

    def raised(self, kind: type[Exception]) -> Any:
        """The plan is over, with this very error."""
        assert self.effect is None, f"still at {self.effect}"
        assert self._error is not None, f"returned {self._result!r}"
        if type(self._error) is not kind:
            raise self._error
        return self._error

    def close(self) -> None:
        """The front-end gives the plan up."""
        self.plan.close()


def header(revision: int = 10, *, term: int = 2, cluster: int = 1) -> rpc_pb2.ResponseHeader:
    return rpc_pb2.ResponseHeader(
        cluster_id=cluster, member_id=1, revision=revision, raft_term=term
    )


def kv(
    key: bytes, create: int, mod: int | None = None, *, value: bytes = b"me", lease: int = 0
) -> kv_pb2.KeyValue:
    return kv_pb2.KeyValue(
        key=key,
        create_revision=create,
        mod_revision=create if mod is None else mod,
        value=value,
        lease=lease,
    )


def ranged(
    *kvs: kv_pb2.KeyValue, revision: int = 10, cluster: int = 1, more: bool = False
) -> rpc_pb2.RangeResponse:
    return rpc_pb2.RangeResponse(header=header(revision, cluster=cluster), kvs=kvs, more=more)


def txn(
    *reads: Sequence[kv_pb2.KeyValue] | None,
    revision: int = 10,
    succeeded: bool = True,
    cluster: int = 1,
) -> rpc_pb2.TxnResponse:
    """The answer to a transaction: per operation the keys that were read, or None for a put."""
    responses = [
        rpc_pb2.ResponseOp(response_put=rpc_pb2.PutResponse())
        if kvs is None
        else rpc_pb2.ResponseOp(response_range=rpc_pb2.RangeResponse(kvs=kvs))
        for kvs in reads
    ]
    return rpc_pb2.TxnResponse(
        header=header(revision, cluster=cluster), succeeded=succeeded, responses=responses
    )


def granted(lease_id: int, ttl: int = 15, *, cluster: int = 1) -> rpc_pb2.LeaseGrantResponse:
    return rpc_pb2.LeaseGrantResponse(header=header(cluster=cluster), ID=lease_id, TTL=ttl)


def kept(
    lease_id: int, ttl: int = 15, *, term: int = 2, cluster: int = 1
) -> rpc_pb2.LeaseKeepAliveResponse:
    return rpc_pb2.LeaseKeepAliveResponse(
        header=header(term=term, cluster=cluster), ID=lease_id, TTL=ttl
    )


def revoked() -> rpc_pb2.LeaseRevokeResponse:
    return rpc_pb2.LeaseRevokeResponse(header=header())


def campaigned(key: bytes, rev: int, lease_id: int) -> v3election_pb2.CampaignResponse:
    leader = v3election_pb2.LeaderKey(name=NAME, key=key, rev=rev, lease=lease_id)
    return v3election_pb2.CampaignResponse(header=header(), leader=leader)


def proclaimed(revision: int) -> v3election_pb2.ProclaimResponse:
    return v3election_pb2.ProclaimResponse(header=header(revision))


def resigned() -> v3election_pb2.ResignResponse:
    return v3election_pb2.ResignResponse(header=header())


def led_by(
    entry: kv_pb2.KeyValue, *, revision: int = 10, cluster: int = 1
) -> v3election_pb2.LeaderResponse:
    return v3election_pb2.LeaderResponse(header=header(revision, cluster=cluster), kv=entry)


def authenticated(token: str) -> rpc_pb2.AuthenticateResponse:
    return rpc_pb2.AuthenticateResponse(header=header(), token=token)
