"""Certificate authorities for tests, and the files that servers and clients read.

Guaranteed: a file is replaced at once, as a careful administrator does it. Not guaranteed: anything
about a certificate but names, dates and who issued it.
"""

from __future__ import annotations

import datetime
import itertools
from dataclasses import dataclass
from pathlib import Path

import grpc
import trustme

from .etcd_server import ServerTLS

NAMES = ("127.0.0.1", "::1", "localhost", "etcd.test")
"""What servers' certificates are for, unless a test says otherwise."""

DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, in PEM."""

    cert: bytes
    key: bytes


class Authority:
    """One CA, with a folder for files."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self._folder = folder
        self._numbers = itertools.count()
        self.pem: bytes = self._ca.cert_pem.bytes()

    @property
    def path(self) -> Path:
        """A file with its own certificate."""
        return self.write(self.pem)

    def issue(self, *names: str, common_name: str | None = None, days: float = 1) -> Pair:
        """A certificate that ends in so many days, which may be less than none."""
        now = datetime.datetime.now(datetime.timezone.utc)
        issued = self._ca.issue_cert(
            *(names or NAMES),
            common_name=common_name,
            not_before=now - 10 * DAY,
            not_after=now + days * DAY,
        )
        cert = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        return Pair(cert, issued.private_key_pem.bytes())

    def early(self, *names: str) -> Pair:
        """A certificate that is not valid before tomorrow."""
        now = datetime.datetime.now(datetime.timezone.utc)
        issued = self._ca.issue_cert(
            *(names or NAMES), not_before=now + DAY, not_after=now + 2 * DAY
        )
        cert = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        return Pair(cert, issued.private_key_pem.bytes())

    def write(self, content: bytes, path: Path | None = None) -> Path:
        """A new file with this content, or a new content for a file."""
        number = next(self._numbers)
        written = self._folder / f"{number}.new"
        written.write_bytes(content)
        return written.replace(path or self._folder / f"{number}.pem")

    def serve(self, pair: Pair | None = None, *, client_ca: Authority | None = None) -> ServerTLS:
        """What an etcd is to be started with."""
        pair = pair or self.issue()
        return ServerTLS(
            self.write(pair.cert),
            self.write(pair.key),
            None if client_ca is None else client_ca.path,
        )

    def credentials(self, pair: Pair | None = None) -> grpc.ChannelCredentials:
        """What plain stubs connect with."""
        if pair is None:
            return grpc.ssl_channel_credentials(self.pem)
        return grpc.ssl_channel_credentials(self.pem, pair.key, pair.cert)
