"""What is shipped, and that it works without `src` and beside another etcd library."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

import etcd_election

ROOT = Path(__file__).resolve().parents[2]

STUBS = ["kv_pb2", "auth_pb2", "rpc_pb2", "rpc_pb2_grpc", "v3election_pb2", "v3election_pb2_grpc"]


def run_python(code: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """In a fresh interpreter that sees nothing but what is installed; warnings are errors.

    But one: protobuf 6.30 warns of stubs from 5.x, which are not ours.
    """
    warnings = ["-W", "error", "-W", "ignore:Protobuf gencode version 5:UserWarning"]
    return subprocess.run(
        [sys.executable, "-I", *warnings, "-c", code],
        cwd=cwd,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and with the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> zipfile.ZipFile:
    (path,) = built.glob("*.whl")
    return zipfile.ZipFile(path)


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    return Parser().parsestr(wheel.read(name).decode())


def test_the_wheel_has_the_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    tops = {name.partition("/")[0] for name in names}
    info = f"etcd_election-{etcd_election.__version__}.dist-info"
    assert tops == {"etcd_election", info}
    assert "etcd_election/py.typed" in names
    assert "etcd_election/_cli/guardian.py" in names, "which is run as a file"
    for stub in STUBS:
        assert f"etcd_election/pb/{stub}.py" in names
        assert f"etcd_election/pb/{stub}.pyi" in names
    assert f"{info}/licenses/LICENSE" in names
    ours = ("etcd_election/testing.py", "etcd_election/_testing/")
    assert not [name for name in names if "test" in name.lower() and not name.startswith(ours)]
    assert not [name for name in names if "__pycache__" in name]


def test_the_wheel_fits_every_python(built: Path) -> None:
    (path,) = built.glob("*.whl")
    assert path.name.endswith("-py3-none-any.whl")


def test_the_sdist_has_all_that_work_on_it_needs(built: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for expected in (
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "LICENSE",
        "Makefile",
        "README.md",
        "SECURITY.md",
        "benchmarks/__main__.py",
        "benchmarks/go/go.sum",
        "protos/rpc.proto",
        "pyproject.toml",
        "scripts/gen_protos.sh",
        "src/etcd_election/py.typed",
        "tests/conftest.py",
        "tests/support/etcd_server.py",
    ):
        assert expected in names
    assert not [name for name in names if "__pycache__" in name or name.startswith(".venv")]


def test_the_metadata_states_license_and_requirements(metadata: Message) -> None:
    assert metadata["Name"] == "etcd-election"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.10"
    required = metadata.get_all("Requires-Dist") or []
    assert sorted(line for line in required if "extra ==" not in line) == [
        "grpcio<2,>=1.80",
        "protobuf<8,>=6.30",
    ]
    assert set(metadata.get_all("Provides-Extra") or []) == {"demo", "dev", "docs", "test"}


def test_the_generators_have_the_same_pins_everywhere(metadata: Message) -> None:
    script = (ROOT / "scripts" / "gen_protos.sh").read_text()
    required = [line.partition(";")[0].strip() for line in metadata.get_all("Requires-Dist") or []]
    for distribution in ("grpcio-tools", "mypy-protobuf"):
        (pinned,) = [line for line in required if line.startswith(distribution)]
        name, _, version = pinned.partition("==")
        assert f"\n{name.replace('-', '_')}_pin={version}\n" in script


def test_what_is_tested_is_an_installed_wheel() -> None:
    distribution = importlib.metadata.distribution("etcd-election")
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    assert not origin.get("dir_info", {}).get("editable", False)
    assert not Path(etcd_election.__file__).is_relative_to(ROOT / "src")


def test_the_version_is_stated_once() -> None:
    assert importlib.metadata.version("etcd-election") == etcd_election.__version__


def test_it_imports_where_src_is_out_of_reach(tmp_path: Path) -> None:
    done = run_python(
        "import etcd_election, etcd_election.pb.rpc_pb2_grpc as stubs; print(stubs.__file__)",
        tmp_path,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert not Path(done.stdout.strip()).is_relative_to(ROOT / "src")


def test_the_command_is_installed_and_is_the_module_too(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("etcd-election")
    for command in ([str(script)], [sys.executable, "-m", "etcd_election"]):
        done = subprocess.run(
            [*command, "--version"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        said = f"etcd-election {etcd_election.__version__}\n"
        assert (done.returncode, done.stdout, done.stderr) == (0, said, "")


# Both register messages of the same origin in the one pool that a process has.
OURS = "import etcd_election; from etcd_election.pb import rpc_pb2_grpc, v3election_pb2_grpc"
THEIRS = "import aetcd; from aetcd.rpc import RangeRequest"
USE = """
from etcd_election.pb import rpc_pb2
ours, theirs = rpc_pb2.RangeRequest(key=b"k", limit=7), RangeRequest(key=b"k", limit=7)
assert type(ours) is not type(theirs)
assert ours.SerializeToString() == theirs.SerializeToString()
from google.protobuf.internal import api_implementation
print(api_implementation.Type())
"""


@pytest.mark.parametrize("implementation", ["upb", "python"])
@pytest.mark.parametrize("order", [(OURS, THEIRS), (THEIRS, OURS)], ids=["first", "second"])
def test_it_gets_on_with_another_etcd_library(
    tmp_path: Path, order: tuple[str, str], implementation: str
) -> None:
    done = run_python(
        "\n".join([*order, USE]),
        tmp_path,
        PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=implementation,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{implementation}\n", "")
