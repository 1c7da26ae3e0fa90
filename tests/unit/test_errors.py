"""The errors that users catch: classes, facts, and what survives a trip to another process."""

from __future__ import annotations

import copy
import pickle
import re
import subprocess
import sys
from collections.abc import Callable

import grpc
import pytest

import etcd_election
from etcd_election import errors
from etcd_election.errors import ElectionError
from etcd_election.types import LostReason

LIVE = object()

EXAMPLES: list[tuple[ElectionError, dict[str, object]]] = [
    (ElectionError("root"), {}),
    (
        errors.SessionExpired("lost", lease_id=7, leadership=LIVE, reason=LostReason.KEY_DELETED),
        {"lease_id": 7, "reason": LostReason.KEY_DELETED, "leadership": None},
    ),
    (errors.ClientClosed(), {}),
    (errors.NoLeader(name=b"jobs"), {"name": b"jobs"}),
    (
        errors.NotLeader(leadership=LIVE, reason=LostReason.RESIGNED),
        {"reason": LostReason.RESIGNED, "leadership": None},
    ),
    (errors.OperationTimeout("late"), {}),
    (errors.CampaignTimeout("late"), {}),
    (errors.CampaignCancelled(), {}),
    (
        errors.EtcdError("odd", code="INTERNAL", details="text", maybe_applied=True),
        {"code": grpc.StatusCode.INTERNAL, "details": "text", "maybe_applied": True},
    ),
    (
        errors.Unavailable("down", details="text", attempts=("a:1: text", "b:1: not tried")),
        {
            "code": grpc.StatusCode.UNAVAILABLE,
            "details": "text",
            "maybe_applied": False,
            "attempts": ("a:1: text", "b:1: not tried"),
        },
    ),
    (
        errors.AuthenticationFailed("who?", code="UNAUTHENTICATED"),
        {"code": grpc.StatusCode.UNAUTHENTICATED, "details": ""},
    ),
    (
        errors.PermissionDenied("no", code="PERMISSION_DENIED"),
        {"code": grpc.StatusCode.PERMISSION_DENIED},
    ),
    (errors.ValueTooLarge("big", details="too large"), {"code": grpc.StatusCode.UNKNOWN}),
]

TREE = {
    errors.SessionExpired: ElectionError,
    errors.ClientClosed: ElectionError,
    errors.NoLeader: ElectionError,
    errors.NotLeader: ElectionError,
    errors.OperationTimeout: ElectionError,
    errors.CampaignTimeout: errors.OperationTimeout,
    errors.CampaignCancelled: ElectionError,
    errors.EtcdError: ElectionError,
    errors.Unavailable: errors.EtcdError,
    errors.AuthenticationFailed: errors.EtcdError,
    errors.PermissionDenied: errors.EtcdError,
    errors.ValueTooLarge: errors.EtcdError,
}
BUILT_IN = {
    errors.OperationTimeout: TimeoutError,
    errors.CampaignTimeout: TimeoutError,
    errors.Unavailable: ConnectionError,
    errors.ValueTooLarge: ValueError,
}


def name_of(value: object) -> str:
    return type(value).__name__ if isinstance(value, ElectionError) else ""


@pytest.mark.parametrize(("kind", "parent"), TREE.items())
def test_errors_are_caught_by_their_documented_parents(
    kind: type[ElectionError], parent: type[ElectionError]
) -> None:
    assert kind.__bases__[0] is parent


def test_root_is_an_ordinary_exception() -> None:
    assert ElectionError.__bases__ == (Exception,)


@pytest.mark.parametrize(
    ("kind", "parent"),
    [
        (kind, parent)
        for kind in TREE
        for parent in (TimeoutError, ConnectionError, ValueError, OSError)
    ],
)
def test_errors_are_what_python_has_a_name_for_and_nothing_more(
    kind: type[ElectionError], parent: type[Exception]
) -> None:
    wanted = issubclass(BUILT_IN.get(kind, ElectionError), parent)
    assert issubclass(kind, parent) is wanted


def test_every_error_is_exported_and_has_an_example_here() -> None:
    exported = {getattr(errors, name) for name in errors.__all__}
    assert exported == {*TREE, ElectionError}
    assert {type(error) for error, _ in EXAMPLES} == exported
    for kind in exported:
        assert getattr(etcd_election, kind.__name__) is kind
        assert kind.__name__ in etcd_election.__all__


@pytest.mark.parametrize(
    "trip",
    [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))],
    ids=["copy", "deepcopy", "pickle"],
)
@pytest.mark.parametrize(("error", "facts"), EXAMPLES, ids=name_of)
def test_error_survives_the_trip_to_another_process(
    error: ElectionError, facts: dict[str, object], trip: Callable[[ElectionError], ElectionError]
) -> None:
    error.__cause__ = RuntimeError("stays behind")
    twin = trip(error)
    assert type(twin) is type(error)
    assert twin is not error
    assert str(twin) == str(error) != ""
    assert twin.args == error.args
    assert {name: getattr(twin, name) for name in facts} == facts
    assert twin.__cause__ is None


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_error_survives_every_pickle_protocol(protocol: int) -> None:
    error = errors.Unavailable("down", attempts=("a:1: text",))
    twin = pickle.loads(pickle.dumps(error, protocol))
    assert (str(twin), twin.attempts) == ("down", ("a:1: text",))


def test_note_added_by_a_caller_survives() -> None:
    error = errors.ClientClosed()
    error.__dict__["__notes__"] = ["while shutting down"]
    assert pickle.loads(pickle.dumps(error)).__notes__ == ["while shutting down"]


def test_live_leadership_is_there_where_the_error_was_raised() -> None:
    for kind in (errors.SessionExpired, errors.NotLeader):
        assert kind(leadership=LIVE).leadership is LIVE


@pytest.mark.parametrize("code", grpc.StatusCode, ids=lambda code: code.name)
def test_code_is_the_one_that_grpc_users_compare_with(code: grpc.StatusCode) -> None:
    assert errors.EtcdError("odd", code=code.name).code is code


@pytest.mark.parametrize(
    "error",
    [
        errors.SessionExpired(),
        errors.ClientClosed(),
        errors.NoLeader(),
        errors.NotLeader(),
        errors.CampaignCancelled(),
    ],
    ids=name_of,
)
def test_error_says_something_without_being_told_what(error: ElectionError) -> None:
    assert len(str(error)) > 10


def test_tree_in_the_documentation_is_the_tree() -> None:
    assert errors.__doc__ is not None
    for kind in TREE:
        assert re.search(rf"── {kind.__name__}\s", errors.__doc__)


def test_errors_can_be_raised_where_grpc_is_not_loaded() -> None:
    """The core raises them; only who asks for the code needs grpc."""
    program = (
        "import sys, types\n"
        "package = types.ModuleType('etcd_election')\n"
        f"package.__path__ = {list(etcd_election.__path__)!r}\n"
        "sys.modules['etcd_election'] = package\n"
        "from etcd_election import errors\n"
        "assert 'down' in str(errors.Unavailable('down'))\n"
        "assert 'grpc' not in sys.modules\n"
        "assert errors.Unavailable('down').code.name == 'UNAVAILABLE'\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
