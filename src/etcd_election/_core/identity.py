"""What a connection must know about its certificates, whoever reads them."""

from __future__ import annotations

from typing import Protocol

from .status import OwnCertificate


class Identity(Protocol):
    """The certificates that connections are made with. Thread-safe."""

    @property
    def version(self) -> int:
        """Grows with every change that was noticed."""
        ...

    def look(self) -> int:
        """Looks for changes now; returns the version."""
        ...

    def own(self) -> OwnCertificate:
        """What this client has to show."""
        ...


class NoIdentity:
    """For connections in plain text."""

    version = 0

    @staticmethod
    def look() -> int:
        """There is nothing to look at."""
        return 0

    @staticmethod
    def own() -> OwnCertificate:
        """There is nothing to show."""
        return OwnCertificate.NONE
