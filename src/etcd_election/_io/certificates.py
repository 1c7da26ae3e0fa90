"""What TLS connections are made with: read, looked at, and read again when files have changed.

Guaranteed: what cannot be read or is not PEM is refused when it is first read, by the name of its
argument and without showing a key; a change of files that cannot be used (half of it is written,
say) leaves the old ones in use, with a warning. Whether a certificate and its key fit together is
looked at on Linux; elsewhere, and whether anybody accepts them, the first connection tells.
"""

from __future__ import annotations

import base64
import binascii
import calendar
import contextlib
import logging
import os
import re
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc

from .._core.status import OwnCertificate
from ..types import TLS, Material

logger = logging.getLogger("etcd_election")

_LOOK_AGAIN = 1.0
"""Files are looked at for changes at most so often, in seconds."""

_CERTIFICATE = re.compile(b"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_KEY = re.compile(
    b"-----BEGIN ([A-Z ]*)PRIVATE KEY-----(.+?)-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL
)
_HASHED = re.compile(r"[0-9a-f]{8}\.\d+")
"""The names by which OpenSSL finds certificates in a folder."""

_VALIDITY = 3
"""So many fields stand before it, the version apart: serial number, algorithm, issuer."""
_UTC_TIME = 0x17
_VERSION = 0xA0

Stamp = tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True)
class _Read:
    """What was read."""

    ca: bytes
    cert: bytes | None
    key: bytes | None


class Certificates:
    """What the connections of one ``Etcd`` are made with. Thread-safe.

    Args:
        tls: What was asked for.

    Raises:
        ValueError: It cannot be used.
    """

    def __init__(self, tls: TLS) -> None:
        self.server_name = tls.server_name
        self._tls = tls
        self._lock = threading.Lock()
        self._stamp = _stamp(tls)
        self._refused: Stamp | None = None
        self._read = _read(tls)
        self._ends_at = _not_after(self._read.cert)
        self._credentials: grpc.ChannelCredentials | None = None
        self._version = 0
        self._look_at = float("-inf")

    def current(self) -> tuple[int, grpc.ChannelCredentials]:
        """What a connection is to be made with now; the number grows with every change."""
        with self._lock:
            if time.monotonic() >= self._look_at:
                self._look_at = time.monotonic() + _LOOK_AGAIN
                self._look()
            if self._credentials is None:
                # Not before the first use: what grpc has made does not survive a fork.
                read = self._read
                self._credentials = grpc.ssl_channel_credentials(read.ca, read.key, read.cert)
            return self._version, self._credentials

    @property
    def version(self) -> int:
        """Grows with every change that was noticed."""
        return self._version

    def look(self) -> int:
        """Looks at the files now; returns the version."""
        with self._lock:
            self._look()
            return self._version

    def own(self) -> OwnCertificate:
        """What this client has to show."""
        if self._read.cert is None:
            return OwnCertificate.NONE
        if self._ends_at is not None and time.time() > self._ends_at:  # noqa: TID251 - a date
            return OwnCertificate.EXPIRED
        return OwnCertificate.GOOD

    def _look(self) -> None:
        stamp = _stamp(self._tls)
        if stamp == self._stamp:
            return
        try:
            read = _read(self._tls)
        except ValueError as error:
            if stamp != self._refused:
                self._refused = stamp
                logger.warning("changed certificates cannot be used, the old ones are: %s", error)
            return
        self._stamp = stamp
        if read != self._read:
            self._read = read
            self._ends_at = _not_after(read.cert)
            self._credentials = None
            self._version += 1
            logger.info("certificates have changed: connections are made anew")


def _stamp(tls: TLS) -> Stamp:
    """What changes when a file does; links are followed, for that is how many are replaced."""
    stamps: list[tuple[int, int, int] | None] = []
    for material in (tls.ca, tls.cert, tls.key):
        stamp = None
        if material is not None and not isinstance(material, bytes):
            with contextlib.suppress(OSError, ValueError):
                found = Path(material).stat()
                stamp = found.st_mtime_ns, found.st_ino, found.st_size
        stamps.append(stamp)
    return tuple(stamps)


def _read(tls: TLS) -> _Read:
    if tls.ca is None:
        ca = _system_roots()
    else:
        ca = _contents("ca", tls.ca)
        _check_certificates("ca", ca)
    cert = key = None
    if tls.cert is not None and tls.key is not None:
        cert, key = _contents("cert", tls.cert), _contents("key", tls.key)
        _check_certificates("cert", cert)
        _check_key(key)
        _check_pair(cert, key)
    return _Read(ca, cert, key)


def _contents(name: str, material: Material) -> bytes:
    if isinstance(material, bytes):
        return material
    try:
        return Path(material).read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        path = os.fspath(material)
        raise ValueError(f"{name}: {path!r} cannot be read: {reason}") from error


def _check_certificates(name: str, pem: bytes) -> None:
    # With the text around them, which files of roots are full of, OpenSSL would want ASCII.
    blocks = b"\n".join(_CERTIFICATE.findall(pem))
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=blocks.decode("ascii"))
    except (ssl.SSLError, ValueError):
        raise ValueError(f"{name} holds no certificate in PEM, or a damaged one") from None


def _check_key(pem: bytes) -> None:
    found = _KEY.search(pem)
    if found is None:
        raise ValueError("key holds no private key in PEM")
    if b"ENCRYPTED" in found[1] or b"ENCRYPTED" in found[2]:
        raise ValueError("key is encrypted: gRPC cannot use it")
    try:
        base64.b64decode(b"".join(found[2].split()), validate=True)
    except binascii.Error:
        raise ValueError("key holds a damaged private key") from None


def _check_pair(cert: bytes, key: bytes) -> None:
    if sys.platform != "linux":
        return
    # Python loads them from files only, and a key is not to be written to a disk.
    descriptor = os.memfd_create("etcd_election")
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(b"\n".join((cert, key, b"")))
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(f"/proc/self/fd/{descriptor}")
    except ssl.SSLError:
        raise ValueError("cert and key do not fit together") from None
    except OSError:
        pass  # there is no /proc here: the first connection tells
    finally:
        os.close(descriptor)


def _system_roots() -> bytes:
    """Whom the operating system trusts: a file, a folder, or, on Windows, a store."""
    paths = ssl.get_default_verify_paths()
    try:
        found = list(_in_files(paths.cafile, paths.capath))
    except OSError as error:
        raise ValueError(f"ca: the system's roots cannot be read: {error}") from error
    if not found:
        stored = ssl.create_default_context().get_ca_certs(binary_form=True)
        found = [ssl.DER_cert_to_PEM_cert(certificate).encode("ascii") for certificate in stored]
    if not found:
        raise ValueError("ca: the operating system has no roots that Python knows of: give ca")
    return b"\n".join(dict.fromkeys(found))


def _in_files(file: str | None, folder: str | None) -> Iterator[bytes]:
    if file is not None:
        yield from _CERTIFICATE.findall(Path(file).read_bytes())
    if folder is not None:
        for path in sorted(Path(folder).iterdir()):
            # Half of them are gone links on some systems.
            if _HASHED.fullmatch(path.name) and path.is_file():
                yield from _CERTIFICATE.findall(path.read_bytes())


def _not_after(pem: bytes | None) -> float | None:
    """When the first certificate ends, in seconds since the epoch; None if it does not say.

    Python's ``ssl`` tells this of other people's certificates only.
    """
    found = _CERTIFICATE.search(pem or b"")
    if found is None:
        return None
    try:
        der = ssl.PEM_cert_to_DER_cert(found[0].decode("ascii"))
        at = _inside(der, _inside(der, 0))
        if der[at] == _VERSION:
            at = _behind(der, at)
        for _ in range(_VALIDITY):
            at = _behind(der, at)
        at = _behind(der, _inside(der, at))
        text = der[_inside(der, at) : _behind(der, at)].decode("ascii")
        if der[at] == _UTC_TIME:
            text = ("19" if text >= "50" else "20") + text
        return calendar.timegm(time.strptime(text, "%Y%m%d%H%M%SZ"))
    except (ValueError, IndexError):
        return None


def _inside(der: bytes, at: int) -> int:
    """Where the contents of the value at this place begin."""
    long_form = der[at + 1] & 0x80
    return at + 2 + (der[at + 1] & 0x7F if long_form else 0)


def _behind(der: bytes, at: int) -> int:
    """Where the next value begins."""
    start = _inside(der, at)
    return start + (int.from_bytes(der[at + 2 : start], "big") if start > at + 2 else der[at + 1])
