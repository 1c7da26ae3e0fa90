"""Sets of time: unions of half-open spans, with the arithmetic that a checker needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

Span = tuple[float, float]


class Spans:
    """An immutable set of instants. Empty spans vanish, touching ones become one."""

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        joined: list[Span] = []
        for start, end in sorted(spans):
            if end <= start:
                continue
            if joined and start <= joined[-1][1]:
                joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
            else:
                joined.append((start, end))
        self._spans = tuple(joined)

    def __iter__(self) -> Iterator[Span]:
        return iter(self._spans)

    def __bool__(self) -> bool:
        return bool(self._spans)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spans) and self._spans == other._spans

    def __hash__(self) -> int:
        return hash(self._spans)

    def __repr__(self) -> str:
        return f"Spans({[(round(start, 3), round(end, 3)) for start, end in self._spans]})"

    def __contains__(self, instant: float) -> bool:
        return any(start <= instant < end for start, end in self._spans)

    def __or__(self, other: Spans) -> Spans:
        return Spans((*self._spans, *other._spans))

    def __and__(self, other: Spans) -> Spans:
        common: list[Span] = []
        ours, theirs = list(self._spans), list(other._spans)
        i = j = 0
        while i < len(ours) and j < len(theirs):
            common.append((max(ours[i][0], theirs[j][0]), min(ours[i][1], theirs[j][1])))
            if ours[i][1] < theirs[j][1]:
                i += 1
            else:
                j += 1
        return Spans(common)

    def __sub__(self, other: Spans) -> Spans:
        left: list[Span] = []
        for start, end in self._spans:
            at = start
            for from_, to in other._spans:
                if to <= at:
                    continue
                if from_ >= end:
                    break
                left.append((at, from_))
                at = to
            left.append((at, end))
        return Spans(left)

    def later(self, delay: float) -> Spans:
        """Without the first so many seconds of every span."""
        return Spans((start + delay, end) for start, end in self._spans)

    @property
    def total(self) -> float:
        """Seconds in all."""
        return sum(end - start for start, end in self._spans)

    @property
    def longest(self) -> float:
        """Seconds of the longest span; 0.0 if there is none."""
        return max((end - start for start, end in self._spans), default=0.0)


def union(sets: Iterable[Spans]) -> Spans:
    """Whatever is in any of them."""
    return Spans(span for each in sets for span in each)
