"""The contract between plans and the front-ends that carry them out.

A plan is a generator. It yields one effect at a time and is sent what came of it:

========= ============================================================ ==========================
effect    what the front-end does                                      what it sends back
========= ============================================================ ==========================
Invoke    one unary call on one endpoint, within ``timeout``; after a  the response, or a Failure;
          third of that also on the one ``beside``, if there is one    Beside, if that answered;
                                                                       an interrupting Word
Sleep     nothing, for so long                                         None; such a Word, at once
Receive   waits for the next fact in the plan's inbox, at most so long the fact, or None
Watch     tells the inbox about exactly these keys from now on         None, at once
Open      starts the plan's one long call; its end comes as a fact     None, at once
Shut      cancels the long call; no fact of it arrives afterwards      None, at once
LookUp    has the names looked up; the link's ``names`` are told       None, at once
Probe     has an endpoint asked what it speaks; ``speech`` is told     None, at once
Consult   has the user asked whether to renew; ``Consulted`` follows   None, at once
========= ============================================================ ==========================

A plan never blocks, never catches ``GeneratorExit`` and leaves no duty of its own behind: whatever
may remain on the server it has written down in the state object it works on before it yields.
"""

from __future__ import annotations

import enum
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from google.protobuf.message import Message

from ..pb import kv_pb2
from .condition import Condition
from .method import Method

Metadata = tuple[tuple[str, str], ...]


class Invoke:
    """One unary call on one endpoint. Its representation shows no password and no token.

    Attributes:
        endpoint: Where.
        method: What is called.
        request: What is sent.
        timeout: Seconds from when it leaves to its end.
        metadata: What goes with it.
        sent_at: A reading of the clock before it left; moved by a front-end that had it wait.
        until: When it is not to leave any more (``Gate.left``): ``NO_TURN`` is the reply then.
        beat: Nobody waits for it: others leave first.
        beside: Another endpoint to ask as well, where this one is silent for some time.
        spare: True for that second call, which is left where many calls are under way.
    """

    __slots__ = (
        "beat",
        "beside",
        "endpoint",
        "metadata",
        "method",
        "request",
        "sent_at",
        "spare",
        "timeout",
        "until",
    )

    def __init__(
        self,
        endpoint: int,
        method: Method,
        request: Message,
        timeout: float,
        metadata: Metadata,
        *,
        sent_at: float = 0.0,
        until: float = float("inf"),
        beat: bool = False,
        beside: int | None = None,
        spare: bool = False,
    ) -> None:
        self.endpoint = endpoint
        self.method = method
        self.request = request
        self.timeout = timeout
        self.metadata = metadata
        self.sent_at = sent_at
        self.until = until
        self.beat = beat
        self.beside = beside
        self.spare = spare

    def __repr__(self) -> str:
        return f"Invoke({self.endpoint}, {self.method}, timeout={self.timeout})"

    @property
    def beside_after(self) -> float:
        """Seconds without an answer after which ``beside`` is asked."""
        return self.timeout / 3

    def second(self) -> Invoke:
        """The call on ``beside``; it ends when the first does."""
        assert self.beside is not None  # noqa: S101 - asked only where there is one
        timeout = self.timeout - self.beside_after
        return Invoke(self.beside, self.method, self.request, timeout, self.metadata, spare=True)


@dataclass(frozen=True)
class Sleep:
    """Let time pass."""

    seconds: float


@dataclass(frozen=True)
class Receive:
    """Wait for a fact; with a lease, never for longer than a third of its ttl."""

    seconds: float


@dataclass(frozen=True)
class Watch:
    """Replace what is watched: these keys, and all keys that begin so."""

    keys: frozenset[bytes] = frozenset()
    prefix: bytes | None = None


@dataclass(frozen=True)
class Open:
    """Start a Campaign (``Ended`` follows) or an Observe (``Observed`` ..., then ``Ended``)."""

    endpoint: int
    method: Method
    request: Message
    metadata: Metadata = field(repr=False)


@dataclass(frozen=True)
class Shut:
    """Cancel the long call, if one is open."""


@dataclass(frozen=True)
class LookUp:
    """Have the addresses of all names looked up."""


@dataclass(frozen=True)
class Probe:
    """Have an endpoint that hangs up at once asked whether it speaks TLS."""

    endpoint: int


@dataclass(frozen=True)
class Consult:
    """Have a condition asked whether to renew (``Consulted`` follows, or never)."""

    condition: Condition


Aside = LookUp | Probe
"""What is found out apart from the calls."""

Effect = Invoke | Sleep | Receive | Watch | Open | Shut | LookUp | Probe | Consult


@dataclass(frozen=True)
class Failure:
    """A call that brought no response.

    Attributes:
        code: The name of the gRPC status code.
        details: The text that came with it.
        cause: The exception of the gRPC library, to be chained to ours.
    """

    code: str
    details: str
    cause: BaseException | None = None


NO_TURN = Failure("DEADLINE_EXCEEDED", "its turn did not come in time")
"""For a call that never left: those before it took all the time, and etcd did not answer them."""

Reply = Message | Failure


@dataclass(frozen=True)
class Beside:
    """What the endpoint ``beside`` answered while the first one was silent.

    Never a Failure that another attempt may mend: that counts for nothing.
    """

    reply: Reply


@dataclass(frozen=True)
class Ended:
    """The long call is over: the response (None after a stream's end with OK) or a failure."""

    reply: Reply | None


@dataclass(frozen=True)
class Observed:
    """A message of the Observe stream."""

    response: Message


OF_CALL = (Ended, Observed)
"""Facts of the long call; a plan has one at most. Once it is shut they are none, also those that
wait to be received: they would be taken for the next call's."""


@dataclass(frozen=True)
class WatchStands:
    """From ``revision`` on, changes of ``key`` (or prefix) are told; what is older must be read."""

    key: bytes
    revision: int


@dataclass(frozen=True)
class WatchBroken:
    """Changes of ``key`` (or prefix) may be missed until the watch stands again."""

    key: bytes


@dataclass(frozen=True)
class KeyPut:
    """The key was written."""

    kv: kv_pb2.KeyValue


@dataclass(frozen=True)
class KeyGone:
    """The key was deleted at ``revision``."""

    key: bytes
    revision: int


@dataclass(frozen=True)
class LeaseEnded:
    """A lease is no longer believed in; which one, and whether it still matters, is to be asked."""


@dataclass(frozen=True)
class Consulted:
    """What the user answered for a condition, which may no longer be the present one."""

    condition: Condition
    renews: bool


class Word(enum.Enum):
    """What others want of a plan."""

    CANCELLED = "cancelled"
    CLOSED = "closed"
    TURN = "turn"
    STOP = "stop"

    @property
    def interrupts(self) -> bool:
        """True for a word that ends the wait for a call or a pause, too."""
        return self in (Word.CANCELLED, Word.CLOSED)


Fact = (
    Ended | Observed | WatchStands | WatchBroken | KeyPut | KeyGone | LeaseEnded | Consulted | Word
)

T = TypeVar("T")
Plan = Generator[Effect, Any, T]
