"""What probes have found."""

from __future__ import annotations

from etcd_election._core import timing
from etcd_election._core.speech import Speech
from etcd_election._core.status import Fault


def test_endpoint_is_probed_now_and_then_and_each_for_itself() -> None:
    speech = Speech()
    assert speech.due(0, 0.0)
    assert not speech.due(0, timing.PROBE_AGAIN / 2)
    assert speech.due(1, 0.0)
    assert speech.due(0, timing.PROBE_AGAIN)


def test_what_was_found_holds_until_the_next_probe() -> None:
    speech = Speech()
    speech.due(0, 0.0)
    assert speech.pending(0)
    assert speech.fault(0) is None
    speech.told(0, Fault.WANTS_TLS)
    assert not speech.pending(0)
    assert speech.fault(0) is Fault.WANTS_TLS
    speech.due(0, timing.PROBE_AGAIN)
    assert speech.pending(0)
    assert speech.fault(0) is None
    speech.told(0, None)
    assert not speech.pending(0)
    assert speech.fault(0) is None
