"""Waits that a word from outside ends: a cancel, or the end of the client."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from ..effects import Effect, Plan, Sleep, Word


class Interrupted(Exception):
    """A word arrived while the plan waited for something else. Never leaves this package."""

    def __init__(self, word: Word) -> None:
        super().__init__(word)
        self.word = word


def pause(seconds: float) -> Plan[None]:
    """Lets time pass; a word ends it."""
    yield from interruptible(Sleep(seconds))


def interruptible(effect: Effect) -> Generator[Effect, Any, Any]:
    """Waits for a reply; raises Interrupted when a word comes instead."""
    reply = yield effect
    if isinstance(reply, Word):
        raise Interrupted(reply)
    return reply
