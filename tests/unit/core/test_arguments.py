"""Bad arguments are refused by name, and good ones come through unchanged."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcd_election._core import arguments, timing

from .support import quick

ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.decimals(),
    st.text(max_size=5),
    st.text(alphabet="\ud800\udc80a", max_size=3),
    st.binary(max_size=5),
    st.lists(st.one_of(st.text(max_size=2), st.tuples(st.text(max_size=2), st.integers()))),
)


def test_text_is_utf8_and_undecodable_bytes_survive() -> None:
    assert arguments.octets("name", "jöbs") == "jöbs".encode()
    assert arguments.octets("name", b"\xff\x00") == b"\xff\x00"
    assert arguments.octets("name", "") == b""


@quick
@given(st.binary())
def test_what_was_read_as_text_is_written_back_as_it_was(value: bytes) -> None:
    assert arguments.octets("value", value.decode("utf-8", "surrogateescape")) == value


def test_text_that_no_bytes_stand_for_is_refused() -> None:
    with pytest.raises(ValueError, match="value cannot be encoded"):
        arguments.octets("value", "\ud800")


@pytest.mark.parametrize("value", [None, 1, bytearray(b"a"), ["a"]])
def test_value_of_another_type_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="value must be str or bytes"):
        arguments.octets("value", value)


@pytest.mark.parametrize("ttl", [2, 15, timing.MAX_TTL])
def test_whole_seconds_are_a_ttl(ttl: int) -> None:
    assert arguments.whole_ttl(ttl) == ttl


@pytest.mark.parametrize("ttl", [1, 0, -1, timing.MAX_TTL + 1])
def test_ttl_that_etcd_would_change_or_refuse_is_refused(ttl: int) -> None:
    with pytest.raises(ValueError, match="ttl must be at"):
        arguments.whole_ttl(ttl)


@pytest.mark.parametrize("ttl", [15.0, "15", None, True, Decimal(15)])
def test_ttl_of_another_type_is_refused(ttl: object) -> None:
    with pytest.raises(TypeError, match="ttl must be an int"):
        arguments.whole_ttl(ttl)


@pytest.mark.parametrize("lease", [None, 1, 2**63 - 1])
def test_lease_to_go_on_with_is_taken(lease: int | None) -> None:
    assert arguments.lease_number(lease) == lease


@pytest.mark.parametrize("lease", [0, -1, 2**63])
def test_lease_that_etcd_would_take_for_another_is_refused(lease: int) -> None:
    with pytest.raises(ValueError, match="lease must be between"):
        arguments.lease_number(lease)


@pytest.mark.parametrize("lease", ["abc", 1.0, False])
def test_lease_of_another_type_is_refused(lease: object) -> None:
    with pytest.raises(TypeError, match="lease must be an int"):
        arguments.lease_number(lease)


@pytest.mark.parametrize("value", [0, 0.0, 1, 0.5, 1e9])
def test_duration_is_a_float_of_seconds(value: float) -> None:
    duration = arguments.seconds("timeout", value)
    assert duration == value
    assert isinstance(duration, float)


@pytest.mark.parametrize("value", [-1, -0.001, math.inf, -math.inf, math.nan, 10**400, -(10**400)])
def test_duration_that_never_ends_or_is_over_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="timeout must be finite and not negative"):
        arguments.seconds("timeout", value)


def test_connection_needs_time() -> None:
    assert arguments.seconds("timeout", 0.1, positive=True) == 0.1
    with pytest.raises(ValueError, match="timeout must be finite and positive"):
        arguments.seconds("timeout", 0, positive=True)


@pytest.mark.parametrize("value", ["1", True, Decimal(1), [1]])
def test_duration_of_another_type_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="timeout must be a number of seconds"):
        arguments.optional_seconds("timeout", value)


def test_no_duration_stays_none_and_no_time_stays_no_time() -> None:
    assert arguments.optional_seconds("timeout", None) is None
    assert arguments.optional_seconds("timeout", 0) == 0.0


def test_the_way_into_the_queue() -> None:
    assert arguments.campaign_via("service") == "service"


def test_other_ways_into_the_queue_are_refused() -> None:
    with pytest.raises(ValueError, match="via must be"):
        arguments.campaign_via("KV")
    with pytest.raises(TypeError, match="via must be"):
        arguments.campaign_via(None)


def test_channel_options_are_pairs() -> None:
    given = [("grpc.a", 1), ["grpc.b", "x"]]
    assert arguments.channel_options(given) == (("grpc.a", 1), ("grpc.b", "x"))
    assert arguments.channel_options(()) == ()


@pytest.mark.parametrize(
    "options",
    [None, "ab", b"ab", {"a": 1}, ["ab"], [("a",)], [("a", 1, 2)], [(1, "a")]],
)
def test_channel_options_of_another_shape_are_refused(options: object) -> None:
    with pytest.raises(TypeError, match="options"):
        arguments.channel_options(options)


@pytest.mark.parametrize(
    ("check", "kinds"),
    [
        (lambda value: arguments.octets("x", value), bytes),
        (arguments.whole_ttl, int),
        (arguments.lease_number, (int, type(None))),
        (lambda value: arguments.seconds("x", value), float),
        (lambda value: arguments.optional_seconds("x", value), (float, type(None))),
        (arguments.campaign_via, str),
        (arguments.channel_options, tuple),
    ],
    ids=["octets", "ttl", "lease", "seconds", "optional seconds", "via", "options"],
)
@quick
@given(value=ANYTHING)
def test_anything_is_either_taken_in_its_type_or_refused_as_documented(
    check: Callable[[object], Any], kinds: Any, value: object
) -> None:
    try:
        taken = check(value)
    except (TypeError, ValueError):
        return
    assert isinstance(taken, kinds)
    assert not isinstance(taken, bool)
    assert check(taken) == taken, "what was taken is taken again"


def test_user_and_password_go_together() -> None:
    assert arguments.credentials(None, None) is None
    assert arguments.credentials("root", "") == ("root", "")


@pytest.mark.parametrize(
    ("argument", "user", "password", "error"),
    [
        ("password", "root", None, ValueError),
        ("user", None, "secret", ValueError),
        ("user", "", "secret", ValueError),
        ("user", 1, "secret", TypeError),
        ("password", "root", b"secret", TypeError),
    ],
)
def test_half_a_user_is_refused_and_the_password_not_shown(
    argument: str, user: object, password: object, error: type[Exception]
) -> None:
    with pytest.raises(error, match=argument) as caught:
        arguments.credentials(user, password)
    assert "secret" not in str(caught.value)


def test_what_is_called_and_not_awaited_is_a_plain_function() -> None:
    async def coroutine(_: object) -> None: ...

    assert arguments.optional_function("on_event", None) is None
    assert arguments.optional_function("on_event", print) is print
    assert arguments.function("callback", print) is print
    for refuse in (arguments.function, arguments.optional_function):
        with pytest.raises(TypeError, match="on_event must be callable, not int"):
            refuse("on_event", 1)
        with pytest.raises(TypeError, match="on_event must be a plain function"):
            refuse("on_event", coroutine)
