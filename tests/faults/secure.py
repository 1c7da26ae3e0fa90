"""A cluster with TLS and users, for a fault run: what changes for whom.

Everybody must show a certificate. The administrator's has root as its common name, which is enough
for etcd and needs no token that could run out under a fault; the candidates' certificates name
nobody: their user and password count, so that they live by tokens. A simple token is known to the
members that were there when it was made; a JWT lives for a few seconds.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from etcd_election import TLS
from tests.support.authority import Authority
from tests.support.cluster import EtcdCluster
from tests.support.users import ask_for_users

USER = "alice"
"""Also the password; may touch keys under ``mine/`` only."""

TOKENS = ("simple", "jwt")
JWT_TTL = 10
CHEAP = "--bcrypt-cost=4"
"""Passwords are not what is tried here: at etcd's default each costs a member a tenth of a second
of one core."""


@dataclass(frozen=True)
class Login:
    """What a candidate shows: files, and a user who is also the password."""

    ca: Path
    cert: Path
    key: Path

    def tls(self) -> TLS:
        """For the library."""
        return TLS(self.ca, self.cert, self.key)

    def __str__(self) -> str:
        return ",".join(map(str, (self.ca, self.cert, self.key)))

    @classmethod
    def parse(cls, text: str) -> Login:
        """Reads what ``str`` gave."""
        return cls(*map(Path, text.split(",")))


@contextmanager
def cluster(
    etcd: str, members: int, tokens: str | None, folder: Path
) -> Generator[tuple[EtcdCluster, Login | None], None, None]:
    """A started cluster, with what candidates log in by; plain and open without ``tokens``."""
    if tokens is None:
        with EtcdCluster(etcd, members) as plain:
            yield plain, None
        return
    files = folder / "certificates"
    files.mkdir()
    authority = Authority(files)
    root = authority.issue("root.test", common_name="root")
    nobody = authority.issue("candidate.test", common_name="nobody")
    credentials = authority.credentials(root)
    args = [CHEAP]
    if tokens == "jwt":
        key = authority.write(b"a secret of a test")
        args.append(f"--auth-token=jwt,priv-key={key},sign-method=HS256,ttl={JWT_TTL}s")
    login = Login(authority.path, authority.write(nobody.cert), authority.write(nobody.key))
    tls = authority.serve(client_ca=authority)
    with EtcdCluster(etcd, members, args=args, tls=tls, credentials=credentials) as secured:
        ask_for_users(secured.members[0], credentials)
        yield secured, login
