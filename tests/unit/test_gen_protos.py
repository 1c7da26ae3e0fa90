"""scripts/gen_protos.sh: the checked-in stubs are what it makes, and --check sees when not.

Needs the pinned generators in the running interpreter, and fails without them: a check that skips
itself guards nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PB = Path("src", "etcd_election", "pb")


def gen_protos(root: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(root / "scripts" / "gen_protos.sh"), *arguments],
        env={**os.environ, "PYTHON": sys.executable, **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what the script reads and writes, to be damaged."""
    for part in ("scripts", "protos", str(PB)):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_the_checked_in_stubs_are_up_to_date() -> None:
    done = gen_protos(ROOT, "--check")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def assert_check_names(tree: Path, name: str) -> None:
    before = contents(tree / PB)
    done = gen_protos(tree, "--check")
    assert done.returncode == 1, done.stderr
    assert name in done.stderr
    assert "run scripts/gen_protos.sh" in done.stderr
    assert contents(tree / PB) == before, "--check must not repair anything"


@pytest.mark.parametrize("name", ["rpc_pb2.py", "v3election_pb2_grpc.py", "kv_pb2.pyi"])
def test_check_sees_an_edited_stub(tree: Path, name: str) -> None:
    with (tree / PB / name).open("a") as stub:
        stub.write("# edited by hand\n")
    assert_check_names(tree, name)


def test_check_sees_a_missing_file(tree: Path) -> None:
    (tree / PB / "auth_pb2.py").unlink()
    assert_check_names(tree, "auth_pb2.py")


def test_check_sees_a_file_too_many(tree: Path) -> None:
    (tree / PB / "kv_pb2_grpc.py").touch()
    assert_check_names(tree, "kv_pb2_grpc.py")


def test_check_sees_a_changed_proto(tree: Path) -> None:
    proto = tree / "protos" / "kv.proto"
    proto.write_text(proto.read_text().replace("int64 lease = 6;", "int64 lease = 7;"))
    assert_check_names(tree, "kv_pb2.py")


def test_check_sees_a_missing_folder(tree: Path) -> None:
    shutil.rmtree(tree / PB)
    done = gen_protos(tree, "--check")
    assert done.returncode == 1
    assert str(PB) in done.stderr


def test_check_ignores_bytecode(tree: Path) -> None:
    cache = tree / PB / "__pycache__"
    cache.mkdir()
    (cache / "kv_pb2.cpython-311.pyc").touch()
    assert gen_protos(tree, "--check").returncode == 0


def test_generating_mends_the_folder_and_is_repeatable(tree: Path) -> None:
    wanted = contents(tree / PB)
    (tree / PB / "auth_pb2.py").unlink()
    (tree / PB / "kv_pb2_grpc.py").touch()
    for seed in ("1", "2"):
        done = gen_protos(tree, PYTHONHASHSEED=seed)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert contents(tree / PB) == wanted


def test_other_generators_are_refused(tree: Path) -> None:
    script = tree / "scripts" / "gen_protos.sh"
    pin = "grpcio_tools_pin=1.72.2"
    assert pin in script.read_text()
    script.write_text(script.read_text().replace(pin, "grpcio_tools_pin=1.0.0"))
    before = contents(tree / PB)
    done = gen_protos(tree)
    assert done.returncode == 2
    assert "needs grpcio-tools 1.0.0" in done.stderr
    assert "pip install grpcio-tools==1.0.0" in done.stderr
    assert contents(tree / PB) == before


def test_unknown_arguments_are_refused(tree: Path) -> None:
    done = gen_protos(tree, "--chekc")
    assert done.returncode == 2
    assert "usage" in done.stderr
