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
Connect   has the connection made that a long call is to go over       None, at once
Consult   has the user asked whether to renew; ``Consulted`` follows   None, at once
========= ============================================================ ==========================

A plan never blocks, never catches ``GeneratorExit`` and leaves no duty of its own behind: whatever
may remain on the server it has written down in the state object it works on before it yields.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Generator
from typing import Any, TypeVar

from google.protobuf.message import Message

from ..pb import kv_pb2
from .condition import Condition
from .method import Method

Metadata = tuple[tuple[str, str], ...]


class Value:
    """What is told by its class and its attributes, and never changed.

    A frozen dataclass costs half a millisecond of every import, and each of its objects several
    times as much as one of these.
    """

    __slots__: tuple[str, ...] = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Value) and self._told() == other._told()

    def __hash__(self) -> int:
        return hash(self._told())

    def __repr__(self) -> str:
        values = self._told()[1:]
        shown = zip(self.__slots__, values, strict=True)
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in shown)})"

    def _told(self) -> tuple[object, ...]:
        return (type(self), *(getattr(self, name) for name in self.__slots__))


class Invoke:
    """One unary call on one endpoint. Its representation shows no password and no token.

    Attributes:
        endpoint: Where.
        method: What is called.
        request: What is sent.
        timeout: Seconds from when it leaves to its end; no more than are left to ``until``.
        metadata: What goes with it.
        sent_at: A reading of the clock before it left; moved by a front-end that had it wait.
        until: When it is not to leave any more (``Gate.left``): ``NO_TURN`` is the reply then.
        beat: Nobody waits for it.
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
    def aside(self) -> bool:
        """True where others leave first: it is a beat's, or only the beginning of something."""
        return self.beat or self.method is Method.GRANT

    @property
    def beside_after(self) -> float:
        """Seconds without an answer after which ``beside`` is asked."""
        return self.timeout / 3

    def second(self) -> Invoke:
        """The call on ``beside``; it ends when the first does."""
        assert self.beside is not None  # noqa: S101 - asked only where there is one
        timeout = self.timeout - self.beside_after
        return Invoke(self.beside, self.method, self.request, timeout, self.metadata, spare=True)


class Sleep(Value):
    """Let time pass."""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


class Receive(Value):
    """Wait for a fact; with a lease, never for longer than a third of its ttl."""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


class Watch(Value):
    """Replace what is watched: these keys, and all keys that begin so.

    Attributes:
        keys: The keys.
        prefix: How the others begin; None: there are none.
        matters: Says of a fact whether the plan is to hear it; None: of all. Asked where etcd's
            answers are read, on any thread: quickly, and it raises nothing. A plan that hears
            nothing is not woken. What it kept from a plan is not told later, if the next one would
            not keep it.
    """

    __slots__ = ("keys", "matters", "prefix")

    def __init__(
        self,
        keys: frozenset[bytes] = frozenset(),
        prefix: bytes | None = None,
        matters: Callable[[Fact], bool] | None = None,
    ) -> None:
        self.keys = keys
        self.prefix = prefix
        self.matters = matters


class Open(Value):
    """Start a Campaign (``Ended`` follows) or an Observe (``Observed`` ..., then ``Ended``)."""

    __slots__ = ("endpoint", "metadata", "method", "request")

    def __init__(self, endpoint: int, method: Method, request: Message, metadata: Metadata) -> None:
        self.endpoint = endpoint
        self.method = method
        self.request = request
        self.metadata = metadata

    def __repr__(self) -> str:
        return f"Open({self.endpoint}, {self.method})"


class Shut(Value):
    """Cancel the long call, if one is open."""

    __slots__ = ()


class LookUp(Value):
    """Have the addresses of all names looked up."""

    __slots__ = ()


class Probe(Value):
    """Have an endpoint that hangs up at once asked whether it speaks TLS."""

    __slots__ = ("endpoint",)

    def __init__(self, endpoint: int) -> None:
        self.endpoint = endpoint


class Connect(Value):
    """Have an endpoint's connection for long calls made while others are under way, if it is not.

    A connection that cannot be made is nobody's loss: the long call itself tells.
    """

    __slots__ = ("endpoint",)

    def __init__(self, endpoint: int) -> None:
        self.endpoint = endpoint


class Consult(Value):
    """Have a condition asked whether to renew (``Consulted`` follows, or never)."""

    __slots__ = ("condition",)

    def __init__(self, condition: Condition) -> None:
        self.condition = condition


Aside = LookUp | Probe | Connect
"""What goes on apart from the calls, and is not waited for."""

Effect = Invoke | Sleep | Receive | Watch | Open | Shut | LookUp | Probe | Connect | Consult


class Failure(Value):
    """A call that brought no response.

    Attributes:
        code: The name of the gRPC status code.
        details: The text that came with it.
        cause: The exception of the gRPC library, to be chained to ours.
    """

    __slots__ = ("cause", "code", "details")

    def __init__(self, code: str, details: str, cause: BaseException | None = None) -> None:
        self.code = code
        self.details = details
        self.cause = cause

    @property
    def said(self) -> str:
        """In words: the text, or the code where there is none."""
        return self.details or self.code


NO_TURN = Failure("DEADLINE_EXCEEDED", "its turn did not come in time")
"""For a call that never left: those before it took all the time, and etcd did not answer them."""

Reply = Message | Failure


class Beside(Value):
    """What the endpoint ``beside`` answered while the first one was silent.

    Never a Failure that another attempt may mend: that counts for nothing.
    """

    __slots__ = ("reply",)

    def __init__(self, reply: Reply) -> None:
        self.reply = reply


class Ended(Value):
    """The long call is over: the response (None after a stream's end with OK) or a failure."""

    __slots__ = ("reply",)

    def __init__(self, reply: Reply | None) -> None:
        self.reply = reply


class Observed(Value):
    """A message of the Observe stream."""

    __slots__ = ("response",)

    def __init__(self, response: Message) -> None:
        self.response = response


OF_CALL = (Ended, Observed)
"""Facts of the long call; a plan has one at most. Once it is shut they are none, also those that
wait to be received: they would be taken for the next call's."""


class WatchStands(Value):
    """From ``revision`` on, changes of ``key`` (or prefix) are told; what is older must be read."""

    __slots__ = ("key", "revision")

    def __init__(self, key: bytes, revision: int) -> None:
        self.key = key
        self.revision = revision


class WatchBroken(Value):
    """Changes of ``key`` (or prefix) may be missed until the watch stands again."""

    __slots__ = ("key",)

    def __init__(self, key: bytes) -> None:
        self.key = key


class KeyPut(Value):
    """The key was written."""

    __slots__ = ("kv",)

    def __init__(self, kv: kv_pb2.KeyValue) -> None:
        self.kv = kv


class KeyGone(Value):
    """The key was deleted at ``revision``."""

    __slots__ = ("key", "revision")

    def __init__(self, key: bytes, revision: int) -> None:
        self.key = key
        self.revision = revision


class LeaseEnded(Value):
    """A lease is no longer believed in; which one, and whether it still matters, is to be asked."""

    __slots__ = ()


class Consulted(Value):
    """What the user answered for a condition, which may no longer be the present one."""

    __slots__ = ("condition", "renews")

    def __init__(self, condition: Condition, renews: bool) -> None:
        self.condition = condition
        self.renews = renews


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
