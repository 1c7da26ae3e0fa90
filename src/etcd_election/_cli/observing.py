"""``observe``: the leaders as they come and go, until Ctrl-C or until nobody reads."""

from __future__ import annotations

from datetime import datetime, timezone

from .. import Leader, OperationTimeout
from . import entries
from .connecting import Connection
from .exits import PIPE_CLOSED
from .voice import Voice, reader_left

_LOOK = 1.0
"""How often is looked whether anybody still reads, in seconds."""


def observe(connection: Connection, name: str, voice: Voice) -> int:
    """Says who leads, and says it again whenever that changes."""
    with connection.client(name) as client:
        # What is wrong at the beginning is told; later outages are outlasted.
        client.open()
        with client.observe(vacancies=True) as observer:
            while not reader_left():
                try:
                    _tell(voice, client.name, observer.next(timeout=_LOOK))
                except OperationTimeout:
                    continue
    return PIPE_CLOSED


def _tell(voice: Voice, name: bytes, leader: Leader | None) -> None:
    now = datetime.now(timezone.utc)
    clock = f"{now.astimezone():%H:%M:%S}"
    if leader is None:
        text, facts = f"{clock}  nobody leads", entries.vacancy(name)
    else:
        text, facts = f"{clock}  {entries.line(leader)}", entries.facts("leader", leader)
    voice.result(text, {"time": now.isoformat(timespec="milliseconds"), **facts})
