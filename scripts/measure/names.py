"""Whose keys belong to an election."""

from __future__ import annotations

from .bench import LONG, SETTLED, Bench, Rows, outcome, pause, won, yes


def nested(bench: Bench) -> Rows:
    """An election named `a`, beside one named `a/b` and keys that people put."""
    raw = bench.raw
    name = bench.name()
    inner = bench.lead(f"{name}/b")
    yield (
        "Leader of `a` while only `a/b` has candidates: answers theirs",
        yes(raw.leader(name).key == inner.key),
    )
    lease = raw.grant()
    call = bench.join(name, lease)
    pause(SETTLED)
    yield "Campaign in `a` waits for the leader of `a/b`", yes(not call.done())
    raw.resign(inner)
    yield "and answers when that one resigns", yes(won(call, 1.0))

    name = bench.name()
    raw.put(f"{name}/by-hand", "v")
    yield (
        "a key put by hand under `a/` is the Leader's answer",
        yes(raw.leader(name).key.endswith(b"/by-hand")),
    )
    call = bench.join(name, raw.grant())
    pause(SETTLED)
    yield "Campaign waits for the key put by hand", yes(not call.done())
    call.cancel()
    yield from _odd_names(bench)


def _odd_names(bench: Bench) -> Rows:
    for what, name in (("empty", b""), ("with bytes that are no text", b"\xff\x00/\xfe")):
        lease = bench.raw.grant()
        call = bench.raw.campaign(name, lease)
        key = b"%s/%x" % (name, lease)
        yield f"Campaign, name {what}", outcome(call.result, timeout=LONG)
        yield f"its key is name + `/` + lease in hex, name {what}", yes(bench.raw.get(key))
        bench.raw.revoke(lease)
