"""A database that refuses the late write of a leader that is one no more: fencing, on SQLite.

``Fenced`` is to copy from. The program lets two candidates lead one after the other, and the write
of the first, which looked before it wrote, arrive after that of the second::

    python examples/fencing_sqlite.py 127.0.0.1:2379 accounts.db

Guaranteed by ``Fenced``: once a leader has written, nothing of an earlier one is written any more,
and a write is carried out whole or not at all. It rests on the database alone, on no clock.
"""

from __future__ import annotations

import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

from etcd_election import ElectionClient, Leadership

SCHEMA = """
CREATE TABLE IF NOT EXISTS fence (election TEXT PRIMARY KEY, token INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS account (name TEXT PRIMARY KEY, balance INTEGER NOT NULL);
"""

# The same leader writes again and again: a token that is equal passes.
RAISE_FENCE = """
INSERT INTO fence (election, token) VALUES (?, ?)
ON CONFLICT (election) DO UPDATE SET token = excluded.token
WHERE excluded.token >= fence.token
"""


class StaleToken(Exception):
    """A later leader has written: nothing was."""


class Fenced:
    """Transactions of leaders.

    Args:
        path: The database.
        election: Tokens are compared within one election.
    """

    def __init__(self, path: str, election: str) -> None:
        self._path = path
        self._election = election
        with closing(sqlite3.connect(path)) as database:
            database.executescript(SCHEMA)

    @contextmanager
    def writing(self, token: int) -> Iterator[sqlite3.Connection]:
        """A transaction of the leader with this token.

        Raises:
            StaleToken: A larger one was seen before.
        """
        with closing(sqlite3.connect(self._path, isolation_level=None)) as database:
            # Nobody else writes from here on: what is compared stays true until COMMIT.
            database.execute("BEGIN IMMEDIATE")
            try:
                if database.execute(RAISE_FENCE, (self._election, token)).rowcount == 0:
                    raise StaleToken(f"token {token} is older than the last one seen")
                yield database
                database.execute("COMMIT")
            except BaseException:
                database.execute("ROLLBACK")
                raise


def deposit(store: Fenced, leadership: Leadership, who: str, amount: int) -> None:
    """The leader's work."""
    with store.writing(leadership.token) as database:
        database.execute(
            "INSERT INTO account VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET balance = balance + excluded.balance",
            (who, amount),
        )
    print(f"{who} wrote, with token {leadership.token}")


def main(endpoint: str, path: str) -> None:
    store = Fenced(path, "accounts")
    with ElectionClient(endpoint, "accounts") as ann, ElectionClient(endpoint, "accounts") as ben:
        first = ann.campaign("ann")
        deposit(store, first, "ann", 10)

        looked, goes_on = threading.Event(), threading.Event()

        def late() -> None:
            if first.held:  # true, and a moment later it is not
                looked.set()
                goes_on.wait()
                try:
                    deposit(store, first, "ann", 1_000_000)
                except StaleToken as error:
                    print(f"ann was refused: {error}")

        writer = threading.Thread(target=late)
        writer.start()
        looked.wait()
        first.resign()
        deposit(store, ben.campaign("ben"), "ben", 10)
        goes_on.set()
        writer.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
