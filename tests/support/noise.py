"""What the library stands on says in the log: nothing, if all is well."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Generator

WATCHED = ("asyncio", "grpc")


class Noise(logging.Handler):
    """Keeps what is logged, as text."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Called by the loggers."""
        # There grpcio itself tells of an answer that means nothing.
        if record.name != "grpc._common":
            self.heard.append(f"{record.name}: {record.getMessage()}")


@contextlib.contextmanager
def no_noise() -> Generator[None, None, None]:
    """Fails at its end if asyncio or grpcio has logged a warning or worse meanwhile.

    If what was done meanwhile failed, that matters more.
    """
    noise = Noise()
    loggers = [logging.getLogger(name) for name in WATCHED]
    for logger in loggers:
        logger.addHandler(noise)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(noise)
    assert not noise.heard
