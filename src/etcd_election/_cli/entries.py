"""Candidates as text for people and as JSON for programs.

JSON keeps every byte: beside each text there is its base64. In text for people nothing of what
others wrote reaches the terminal as a control character.
"""

from __future__ import annotations

import base64
from typing import Any

from .. import Leader


def printable(octets: bytes) -> str:
    """For people; what cannot be shown is shown escaped."""
    text = octets.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def line(leader: Leader) -> str:
    """One candidate: its value, token and key."""
    value = printable(leader.value) or '""'
    return f"{value}  token {leader.token}  key {printable(leader.key)}"


def facts(state: str, leader: Leader) -> dict[str, Any]:
    """One candidate.

    Args:
        state: "leader" or "candidate".
        leader: Its entry.
    """
    return {
        "state": state,
        "name": _text(leader.name),
        "value": _text(leader.value),
        "value_base64": _base64(leader.value),
        "key": _text(leader.key),
        "key_base64": _base64(leader.key),
        "lease": f"{leader.lease_id:x}",
        "token": leader.token,
        "mod_revision": leader.mod_revision,
        "revision": leader.revision,
    }


def vacancy(name: bytes) -> dict[str, Any]:
    """Nobody leads."""
    return {"state": "vacant", "name": _text(name)}


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "replace")


def _base64(octets: bytes) -> str:
    return base64.b64encode(octets).decode("ascii")
