"""What `import etcd_election` takes beyond `import grpc`, and what it leaves for later."""

from __future__ import annotations

import json
import subprocess
import sys

from .sampling import median, milliseconds
from .table import Row, judged

HEAD = "What it takes to import the library, in fresh interpreters"

LATER = {
    "the asyncio front-end": ("etcd_election.aio", "etcd_election._aio"),
    "protobuf services": ("etcd_election.pb.rpc_pb2_grpc", "etcd_election.pb.v3election_pb2_grpc"),
}
"""What is loaded when it is used, by what a module's name begins with."""

_CODE = """
import json, sys, time
began = time.perf_counter()
import grpc
ready = time.perf_counter()
import etcd_election
done = time.perf_counter()
print(json.dumps([ready - began, done - ready, [n for n in sys.modules if "etcd_election" in n]]))
"""


def _measure() -> tuple[float, float, list[str]]:
    done = subprocess.run(
        [sys.executable, "-I", "-c", _CODE], capture_output=True, text=True, timeout=60, check=True
    )
    grpc, ours, modules = json.loads(done.stdout)
    return grpc, ours, modules


def rows(times: int) -> list[Row]:
    """The table, from so many interpreters; the first, which may compile, is left out."""
    _measure()
    runs = [_measure() for _ in range(times)]
    modules = runs[0][2]
    beyond = median([run[1] for run in runs])
    found: list[Row] = [
        judged(
            {
                "what": "import etcd_election, beyond import grpc",
                "measured": milliseconds(beyond),
                "beside it": f"import grpc {milliseconds(median([run[0] for run in runs]))}",
                "bound": "<= 60 ms",
            }
        )
    ]
    for what, names in LATER.items():
        loaded = [module for module in modules if module.startswith(names)]
        found.append(
            judged(
                {
                    "what": f"loaded with it: {what}",
                    "measured": f"{len(loaded)} modules",
                    "beside it": ", ".join(loaded) or "-",
                    "bound": "<= 0 modules",
                }
            )
        )
    return found
