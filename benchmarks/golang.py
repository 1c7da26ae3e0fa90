"""Etcd's own Go election as a peer: built from benchmarks/go where there is a Go toolchain."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("go")
BUILD = 600.0
"""Seconds that fetching the modules and building may take."""


class Missing(Exception):
    """There is no Go, or it could not build; says why."""


def client_version() -> str:
    """Of etcd's Go client."""
    found = re.search(r"^require go\.etcd\.io/etcd/client/v3 (\S+)", _module(), re.MULTILINE)
    assert found is not None, "benchmarks/go/go.mod requires etcd's client"
    return found[1]


def _module() -> str:
    return (SOURCE / "go.mod").read_text()


def build(folder: Path) -> Path:
    """Builds the peer; returns its path.

    Raises:
        Missing: That cannot be done here.
    """
    go = shutil.which("go")
    if go is None:
        raise Missing("there is no go on the PATH")
    target = folder / "go-peer"
    try:
        done = subprocess.run(
            [go, "build", "-o", str(target), "."],
            cwd=SOURCE,
            env={**os.environ, "CGO_ENABLED": "0"},
            capture_output=True,
            text=True,
            timeout=BUILD,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Missing(f"go build took more than {BUILD:g} s") from None
    if done.returncode:
        raise Missing(f"go build failed: {done.stderr.strip()[-300:]}")
    return target
