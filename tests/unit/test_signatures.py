"""Both front-ends have the same names in the same order, the same arguments and the same docs.

Where they differ it was decided so, and stands here. What was decided and is no longer true is an
error as well.
"""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import etcd_election as blocking
from etcd_election import aio

CLASSES = ("Etcd", "ElectionClient", "Leadership", "Observer")

ASYNCHRONOUS = {
    "__enter__": "__aenter__",
    "__exit__": "__aexit__",
    "__iter__": "__aiter__",
    "__next__": "__anext__",
}
"""What `with` and `for` call, and what `async with` and `async for` do."""

AWAITED = {
    "Etcd": ["open", "close", "__aenter__", "__aexit__"],
    "ElectionClient": [
        "open",
        "campaign",
        "run",
        "resign",
        "leader",
        "candidates",
        "close",
        "__aenter__",
        "__aexit__",
    ],
    "Leadership": ["wait_lost", "proclaim", "transaction", "resign", "__aenter__", "__aexit__"],
    "Observer": ["__anext__", "next", "__aenter__", "__aexit__"],
}
"""All that waits. What is not here can be called anywhere, and `Observer.close` is done at once."""

ANNOTATED_OTHERWISE = {
    ("ElectionClient", "run"): ("[Leadership], T]", "[Leadership], Awaitable[T]]"),
    ("ElectionClient", "lead"): ("AbstractContextManager", "AbstractAsyncContextManager"),
    ("Observer", "close"): ("-> 'None'", "-> 'Awaitable[None]'"),
}
"""What the user awaits or has awaited; `close` may be, as one is used to, and need not."""

DOCUMENTED_OTHERWISE = {
    ("Etcd", ""): "thread-safe, or one event loop; what a fork leaves",
    ("Etcd", "close"): "a cancel is held back",
    ("ElectionClient", ""): "thread-safe, or one event loop",
    ("ElectionClient", "run"): "a loss cancels, or does not interrupt",
    ("ElectionClient", "lead"): "a loss cancels, or does not interrupt",
    ("Leadership", ""): "thread-safe, or one event loop, which must not be blocked",
    ("Leadership", "on_lost"): "a thread of its own, or the event loop",
    ("Observer", ""): "threads or tasks may share it",
    ("Observer", "close"): "may be awaited",
}
"""Where threads and loops must be talked of; the empty name is the class itself."""


def public(front: Any, name: str) -> dict[str, Any]:
    """The names of a class that are meant for users, in the order of the text, bases first."""
    found: dict[str, Any] = {}
    for part in reversed(getattr(front, name).__mro__):
        if part.__module__.startswith("etcd_election."):
            found.update(vars(part))
    wanted = {"__init__", "__repr__", "__bool__", *ASYNCHRONOUS, *ASYNCHRONOUS.values()}
    return {key: item for key, item in found.items() if key in wanted or not key.startswith("_")}


PAIRS = [
    pytest.param(name, key, id=f"{name}.{key}")
    for name in CLASSES
    for key in public(blocking, name)
    if key != "__init__" or name in ("Etcd", "ElectionClient")
]


@pytest.mark.parametrize("name", CLASSES)
def test_the_classes_have_the_same_names_in_the_same_order(name: str) -> None:
    names = [ASYNCHRONOUS.get(key, key) for key in public(blocking, name)]
    assert names == list(public(aio, name))


@pytest.mark.parametrize("name", CLASSES)
def test_what_waits_is_awaited_and_nothing_else(name: str) -> None:
    items = public(aio, name).items()
    assert [key for key, item in items if inspect.iscoroutinefunction(item)] == AWAITED[name]


@pytest.mark.parametrize(("name", "key"), PAIRS)
def test_arguments_defaults_and_annotations_are_the_same(name: str, key: str) -> None:
    ours = public(blocking, name)[key]
    theirs = public(aio, name)[ASYNCHRONOUS.get(key, key)]
    assert isinstance(ours, property) == isinstance(theirs, property)
    if isinstance(ours, property):
        ours, theirs = ours.fget, theirs.fget
    mine, other = str(inspect.signature(ours)), str(inspect.signature(theirs))
    if (name, key) in ANNOTATED_OTHERWISE:
        said, awaited = ANNOTATED_OTHERWISE[name, key]
        assert said in mine
        mine = mine.replace(said, awaited)
    assert mine == other


@pytest.mark.parametrize(("name", "key"), [*((name, "") for name in CLASSES), *PAIRS])
def test_the_docs_are_the_same_but_for_threads_and_loops(name: str, key: str) -> None:
    if key:
        ours = public(blocking, name)[key]
        theirs = public(aio, name)[ASYNCHRONOUS.get(key, key)]
    else:
        ours, theirs = getattr(blocking, name), getattr(aio, name)
    mine, other = inspect.getdoc(ours), inspect.getdoc(theirs)
    if (name, key) in DOCUMENTED_OTHERWISE:
        assert mine != other, "they need not differ any more"
        assert mine
        assert other
        # The first sentence says what it is.
        assert mine.partition("\n")[0] == other.partition("\n")[0] or key == "on_lost"
    else:
        assert mine == other
        assert mine or key.startswith("__"), "undocumented"


def test_the_modules_export_the_same() -> None:
    assert aio.__all__ == blocking.__all__
    for name in aio.__all__:
        same = getattr(aio, name) is getattr(blocking, name)
        assert same == (name not in CLASSES), name
