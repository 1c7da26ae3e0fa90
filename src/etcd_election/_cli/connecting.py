"""How etcd is reached: etcdctl's options and variables, of which options win."""

from __future__ import annotations

import getpass
import sys
from argparse import Namespace
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

from .. import TLS, ElectionClient, Etcd
from .durations import seconds


class UsageError(Exception):
    """The command line or a variable is wrong; the text says what to write."""


@dataclass(frozen=True)
class Connection:
    """What an ``Etcd`` is made of.

    Attributes:
        endpoints: As etcdctl takes them.
        tls: How to speak TLS, if it was asked for.
        user: A user of etcd's, or None.
        password: The user's, never shown.
        timeout: Seconds for one operation.
        via: "service" or "kv".
    """

    endpoints: str
    tls: TLS | None
    user: str | None
    password: str | None = field(repr=False)
    timeout: float
    via: str

    @contextmanager
    def client(self, name: str, ttl: int | None = None) -> Generator[ElectionClient, None, None]:
        """A client of an election, closed at the end with its connection. Nothing is sent yet.

        Raises:
            UsageError: What was given cannot be used.
        """
        terms = {} if ttl is None else {"ttl": ttl}
        try:
            etcd = Etcd(
                self.endpoints,
                tls=self.tls,
                user=self.user,
                password=self.password,
                timeout=self.timeout,
            )
            client = ElectionClient(etcd, name, via=self.via, **terms)
        except ValueError as error:
            raise UsageError(str(error)) from error
        with closing(etcd), closing(client):
            yield client


def chosen(options: Namespace, environment: Mapping[str, str]) -> Connection:
    """The connection that options and variables ask for.

    Raises:
        UsageError: They do not fit together.
    """

    def given(option: str, variable: str) -> str:
        value = getattr(options, option, None)
        return environment.get(variable, "") if value is None else str(value)

    endpoints = given("endpoints", "ETCDCTL_ENDPOINTS")
    if getattr(options, "endpoints", None) == "":
        raise UsageError("--endpoints is empty: give host:port")
    if not endpoints and environment.get("ETCDCTL_DISCOVERY_SRV"):
        raise UsageError("ETCDCTL_DISCOVERY_SRV is not supported: give --endpoints")
    ca, cert, key = (given(word, f"ETCDCTL_{word.upper()}") for word in ("cacert", "cert", "key"))
    if bool(cert) != bool(key):
        raise UsageError("--cert and --key belong together: give both (or ETCDCTL_CERT and _KEY)")
    user, password = _credentials(
        given("user", "ETCDCTL_USER"), given("password", "ETCDCTL_PASSWORD")
    )
    timeout = given("timeout", "ETCDCTL_COMMAND_TIMEOUT") or "5s"
    try:
        patience = seconds(timeout)
    except ValueError as error:
        raise UsageError(f"--timeout (or ETCDCTL_COMMAND_TIMEOUT): {error}") from None
    if not patience:
        raise UsageError("--timeout (or ETCDCTL_COMMAND_TIMEOUT) must be more than 0")
    return Connection(
        endpoints=endpoints or "127.0.0.1:2379",
        tls=TLS(ca=ca or None, cert=cert or None, key=key or None) if ca or cert else None,
        user=user,
        password=password,
        timeout=patience,
        via=getattr(options, "via", None) or "service",
    )


def _credentials(user: str, password: str) -> tuple[str | None, str | None]:
    """User and password, asked for at a terminal where it is missing."""
    if not user:
        # A password alone is nobody's, and etcdctl does not mind it either.
        return None, None
    if password:
        return user, password
    name, colon, rest = user.partition(":")
    if colon:
        return name, rest
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageError(
            "--user came without a password: give --user NAME:PASSWORD, --password, "
            "or ETCDCTL_PASSWORD"
        )
    try:
        return name, getpass.getpass(f"Password of {name}: ")
    except EOFError:
        raise UsageError("no password was given") from None
