"""One token for all calls, and one refresh however many were refused."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from etcd_election._core.token import TokenSlot

from .support import quick


def filled(token: str = "secret") -> TokenSlot:
    slot = TokenSlot()
    assert slot.begin()
    slot.renewed(token)
    return slot


def test_one_caller_fetches_and_the_others_wait() -> None:
    slot = TokenSlot()
    assert slot.current() == (None, 0)
    assert slot.begin()
    assert not slot.begin()
    slot.renewed("secret")
    assert slot.current() == ("secret", 1)
    assert not slot.begin(), "there is one"


def test_refresh_that_failed_lets_the_next_caller_try() -> None:
    slot = TokenSlot()
    slot.begin()
    slot.failed()
    assert slot.current() == (None, 0)
    assert slot.begin()


def test_refused_token_is_fetched_anew_once_for_any_number_of_calls() -> None:
    slot = filled()
    assert slot.refused(1)
    assert not slot.refused(1)
    assert slot.current()[0] is None
    assert slot.begin()
    slot.renewed("second")
    assert not slot.refused(1), "an older call says nothing about the present token"
    assert slot.current() == ("second", 2)


def test_token_stands_in_no_repr() -> None:
    assert repr(filled("secret")) == "<TokenSlot generation=1 filled=True>"


@quick
@given(st.lists(st.sampled_from(["begin", "renewed", "failed", "refused", "old"]), max_size=30))
def test_never_two_refreshes_at_once_nor_one_that_is_not_needed(steps: list[str]) -> None:
    slot = TokenSlot()
    refreshing = False
    for number, step in enumerate(steps):
        token, generation = slot.current()
        if step == "begin":
            began = slot.begin()
            assert began == (token is None and not refreshing)
            refreshing = refreshing or began
        elif step == "renewed" and refreshing:
            slot.renewed(f"token {number}")
            assert slot.current() == (f"token {number}", generation + 1)
            refreshing = False
        elif step == "failed" and refreshing:
            slot.failed()
            refreshing = False
        elif step == "refused":
            assert slot.refused(generation) == (token is not None)
        elif step == "old":
            assert not slot.refused(generation - 1)


def test_where_etcd_asks_for_no_token_nobody_waits_for_one() -> None:
    slot = TokenSlot()
    slot.begin()
    slot.renewed(None)
    assert slot.filled
    assert slot.current() == (None, 1)
    assert not slot.begin()
    assert slot.refused(1), "it asks for one now"
    assert not slot.filled
    assert slot.begin()
