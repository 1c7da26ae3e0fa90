"""Arguments are refused here, by name and before anything is sent."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

from .timing import MAX_TTL, MIN_TTL

MAX_LEASE_ID = (1 << 63) - 1


def octets(argument: str, value: object) -> bytes:
    """``str`` (as UTF-8, surrogate escapes turned back into their bytes) or ``bytes``."""
    if isinstance(value, str):
        try:
            return value.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as error:
            raise ValueError(f"{argument} cannot be encoded as UTF-8: {error.reason}") from None
    if isinstance(value, bytes):
        return value
    raise TypeError(f"{argument} must be str or bytes, not {type(value).__name__}")


def whole_ttl(ttl: object) -> int:
    """A lease's ttl: whole seconds, at least 2."""
    if isinstance(ttl, bool) or not isinstance(ttl, int):
        raise TypeError(f"ttl must be an int, in whole seconds, not {type(ttl).__name__}")
    if ttl < MIN_TTL:
        raise ValueError(f"ttl must be at least {MIN_TTL} seconds, got {ttl}")
    if ttl > MAX_TTL:
        raise ValueError(f"ttl must be at most {MAX_TTL} seconds, got {ttl}")
    return ttl


def lease_number(lease: object) -> int | None:
    """A lease to go on with, or None."""
    if lease is None:
        return None
    if isinstance(lease, bool) or not isinstance(lease, int):
        raise TypeError(f"lease must be an int or None, not {type(lease).__name__}")
    if not 0 < lease <= MAX_LEASE_ID:
        raise ValueError(f"lease must be between 1 and 2**63 - 1, got {lease}")
    return lease


def seconds(argument: str, value: object, *, positive: bool = False) -> float:
    """A duration: finite and not negative."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{argument} must be a number of seconds, not {type(value).__name__}")
    try:
        duration = float(value)
    except OverflowError:
        duration = math.inf
    if not math.isfinite(duration) or duration < 0 or (positive and duration == 0):
        wanted = "positive" if positive else "not negative"
        raise ValueError(f"{argument} must be finite and {wanted}, got {duration!r}")
    return duration


def optional_seconds(argument: str, value: object) -> float | None:
    """A duration, or None."""
    return None if value is None else seconds(argument, value)


def campaign_via(via: object) -> str:
    """The way into the queue."""
    if not isinstance(via, str):
        raise TypeError(f"via must be a str, not {type(via).__name__}")
    if via not in ("service", "kv"):
        raise ValueError(f'via must be "service" or "kv", got {via!r}')
    return via


def credentials(user: object, password: object) -> tuple[str, str] | None:
    """User and password, or None; both or neither, and never shown."""
    if user is None and password is None:
        return None
    for argument, value in (("user", user), ("password", password)):
        if value is None:
            raise ValueError(f"{argument} is missing: user and password go together")
        if not isinstance(value, str):
            raise TypeError(f"{argument} must be a str or None, not {type(value).__name__}")
    if not user:
        raise ValueError("user must not be empty")
    return str(user), str(password)


def function(argument: str, value: object) -> Callable[..., Any]:
    """What is called and not awaited; so no coroutine function."""
    if not callable(value):
        raise TypeError(f"{argument} must be callable, not {type(value).__name__}")
    if inspect.iscoroutinefunction(value):
        raise TypeError(f"{argument} must be a plain function: nobody would await its coroutine")
    return value


def optional_function(argument: str, value: object) -> Callable[..., Any] | None:
    """The same, or None."""
    return None if value is None else function(argument, value)


def channel_options(options: object) -> tuple[tuple[str, Any], ...]:
    """gRPC channel options: pairs of a name and a value."""
    if isinstance(options, (str, bytes)) or not isinstance(options, Sequence):
        raise TypeError("options must be a sequence of (name, value) pairs")
    pairs: list[tuple[str, Any]] = []
    for option in options:
        if not isinstance(option, (tuple, list)) or len(option) != 2:  # noqa: PLR2004 - a pair
            raise TypeError(f"options must be a sequence of (name, value) pairs, got {option!r}")
        name, value = option
        if not isinstance(name, str):
            raise TypeError(f"options: a name must be a str, not {type(name).__name__}")
        pairs.append((name, value))
    return tuple(pairs)
