"""``leader`` and ``candidates``: one answer."""

from __future__ import annotations

from .. import NoLeader
from . import entries
from .connecting import Connection
from .exits import Exit
from .voice import Voice


def leader(connection: Connection, name: str, voice: Voice) -> int:
    """Says who leads."""
    with connection.client(name) as client:
        try:
            found = client.leader()
        except NoLeader:
            voice.result("", entries.vacancy(client.name))
            voice.warn(f"nobody leads {name!r}", "vacant", name=name)
            return Exit.NO_LEADER
        voice.result(entries.line(found), entries.facts("leader", found))
    return Exit.OK


def candidates(connection: Connection, name: str, voice: Voice) -> int:
    """Says who stands in the queue, the leader first."""
    with connection.client(name) as client:
        for place, found in enumerate(client.candidates()):
            state = "candidate" if place else "leader"
            text = f"{'waits' if place else 'leads'}  {entries.line(found)}"
            voice.result(text, entries.facts(state, found))
    return Exit.OK
