"""What both programs share: what was measured with, where the table goes, how far a run is."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from tests.support.etcd_server import etcd_version

from .table import MISSED, Row, markdown, put


def versions(etcd: str, *further: str) -> str:
    """What a result depends on, in a line."""
    packages = [f"{name} {metadata.version(name)}" for name in ("grpcio", "protobuf")]
    load = os.getloadavg()[1]
    parts = [
        f"etcd {etcd_version(etcd)}",
        *packages,
        f"Python {platform.python_version()}",
        *further,
        f"{os.cpu_count()} cores",
        f"load {load:.1f}",
        time.strftime("%Y-%m-%d", time.gmtime()),
    ]
    return ", ".join(parts)


class Progress:
    """Says on stderr how far a run is."""

    def __init__(self) -> None:
        self._began_at = time.monotonic()

    def __call__(self, text: str) -> None:
        print(f"{time.monotonic() - self._began_at:5.0f} s  {text}", file=sys.stderr, flush=True)


def arguments(description: str) -> argparse.ArgumentParser:
    """What both programs may be told."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--etcd", required=True, help="path of the etcd to run")
    parser.add_argument("--quick", action="store_true", help="little of everything, to see it work")
    parser.add_argument("--page", type=Path, help="a page whose table is replaced")
    return parser


def publish(name: str, head: str, rows: Sequence[Row], page: Path | None) -> None:
    """Prints a table under its head, and puts both into the page if there is one."""
    text = f"\n{head}.\n\n{markdown(rows) if rows else 'Nothing was measured.'}\n"
    print(text, flush=True)
    if page is not None:
        put(page, name, text)
    missed = [row for row in rows if row.get("verdict") == MISSED]
    print(f"{name}: {len(missed)} of {len(rows)} rows missed their bound", file=sys.stderr)
