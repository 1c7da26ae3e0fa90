"""The picture of a fault run: all that happened is in it, at its time and place."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from tests.faults.picture import CLUSTER, SECOND, TOP, WIDTH, marks, picture
from tests.faults.spans import Spans

from .fault_story import Story, removed_at_20

SVG = "{http://www.w3.org/2000/svg}"


def drawn(story: Story) -> ET.Element:
    return ET.fromstring(picture(story.history(), "etcd <3.6>, seed 7"))


def bars(root: ET.Element, kind: str) -> list[tuple[float, float, str]]:
    """(start, end, title) of the bars of a class, in seconds of the picture."""
    found = []
    for rect in root.iter(f"{SVG}rect"):
        title = rect.find(f"{SVG}title")
        if kind not in rect.get("class", "").split() or title is None:
            continue
        start = (float(rect.get("y", "0")) - TOP) / SECOND
        seconds = float(rect.get("height", "0")) / SECOND
        found.append((round(start, 1), round(start + seconds, 1), title.text or ""))
    return found


def texts(root: ET.Element) -> list[str]:
    return [text.text or "" for text in root.iter(f"{SVG}text")]


def test_who_believed_and_whose_key_it_was() -> None:
    # The first belief, at 1.0, is where it begins.
    root = drawn(Story.good())
    assert bars(root, "believes") == [
        (0.0, 19.0, "w0.1 believes, token 10: 0.00 s to 19.00 s"),
        (19.0, 58.0, "w1.1 believes, token 11: 19.01 s to 58.00 s"),
    ]
    assert [bar[:2] for bar in bars(root, "key")] == [(0.0, 19.0), (19.0, 58.0)]
    assert [bar[:2] for bar in bars(root, "first")] == [(0.0, 19.0), (19.0, 58.0)]
    columns = {
        rect.get("x") for rect in root.iter(f"{SVG}rect") if rect.get("class") == "p1 believes"
    }
    assert len(columns) == 1
    assert {"10", "11", "w0", "w1"} <= set(texts(root))


def test_belief_that_outlives_its_key_is_longer_than_its_outline() -> None:
    root = drawn(removed_at_20(21.5))
    assert bars(root, "believes")[0][1] == 20.5
    assert bars(root, "first")[0][1] == 19.0


def test_what_is_done_to_a_process() -> None:
    story = Story.good()
    story.process(5.0, "w1.1", "stopped")
    story.process(7.0, "w1.1", "running")
    story.worker(10.0, "w1.1", "gil", on=True)
    story.worker(12.0, "w1.1", "gil", on=False)
    story.link(30.0, 0, "deaf")
    story.link(34.0, 0, "pass")
    story.link(40.0, 1, "delay")
    story.link(41.0, 1, "pass")
    story.process(50.0, "w0.1", "killed")
    assert [(mark.at, mark.number, mark.text) for mark in marks(story.history())] == [
        (5.0, 1, "w1.1 stopped for 2.0 s"),
        (10.0, 1, "w1.1 holds its GIL for 2.0 s"),
        (30.0, 0, "w0 is cut off for 4.0 s"),
        (40.0, 1, "w1 has a link disturbed for 1.0 s"),
        (50.0, 0, "w0.1 killed (kill -9)"),
    ]
    root = drawn(story)
    assert [bar[:2] for bar in bars(root, "still")] == [(4.0, 6.0), (9.0, 11.0)]
    assert [bar[:2] for bar in bars(root, "cut")] == [(29.0, 33.0)]
    assert (49.0, 58.0) in [bar[:2] for bar in bars(root, "down")]


def test_what_is_done_to_etcd_and_to_keys() -> None:
    story = removed_at_20(20.05)
    for t, kind, done in (
        (19.99, "REVOKE", True),
        (25.0, "QUORUM_PAUSED", True),
        (26.0, "KILL_MEMBER", False),
        (30.0, "FORK", True),
    ):
        facts = {"kind": kind, "place": 0, "lasts": 2.0, "done": done}
        story.nemesis.append({"t": t, "what": "fault"} | facts)
    assert [(mark.number, mark.text) for mark in marks(story.history())] == [
        (0, "the lease of w0.1 is revoked"),
        (CLUSTER, "a majority of members stopped for 2.0 s"),
        (1, "w1.1 forks"),
    ]
    assert "the key of w0.1 is deleted" in texts(drawn(removed_at_20(20.05)))


def test_time_without_a_quorum_goes_across() -> None:
    story = Story.good()
    story.quorum = Spans([(0.0, 30.0), (35.0, 60.0)])
    (lost,) = [bar for bar in bars(drawn(story), "quorum") if bar[0] > 1.0]
    assert abs(lost[0] - 29.0) < 0.2
    assert abs(lost[1] - 34.0) < 0.2


def test_every_fault_has_a_number_and_a_line_and_no_number_covers_another() -> None:
    story = Story.good()
    for hundredths in range(3000, 3060, 10):
        story.link(hundredths / 100, 0, "reset")
        story.removed(hundredths / 100, 10)
    numbered = marks(story.history())
    root = drawn(story)
    circles = [
        (float(circle.get("cx", "0")), float(circle.get("cy", "0")))
        for circle in root.iter(f"{SVG}circle")
    ]
    assert len(circles) == len(numbered) > 5
    for i, one in enumerate(circles):
        for other in circles[i + 1 :]:
            assert abs(one[0] - other[0]) >= 15 or abs(one[1] - other[1]) >= 15
    said = texts(root)
    assert all(said.count(mark.text) >= 1 for mark in numbered)


def test_it_is_a_picture_for_everybody() -> None:
    root = drawn(Story.good())
    assert root.get("role") == "img"
    labels = root.get("aria-labelledby", "").split()
    labelled = {part.get("id"): part.text for part in root if part.get("id")}
    assert all(labelled[label] for label in labels)
    style = root.findtext(f"{SVG}style") or ""
    assert "prefers-color-scheme: dark" in style
    height = float(root.get("viewBox", "").split()[3])
    assert root.get("viewBox") == f"0 0 {WIDTH} {height:.0f}"
    for part in root.iter():
        if part.tag in {f"{SVG}text", f"{SVG}circle"}:
            x, y = (part.get(a) or part.get(f"c{a}", "") for a in "xy")
            assert 0 <= float(x) < WIDTH
            assert 0 <= float(y) < height
    assert "etcd <3.6>, seed 7" in texts(root)


def test_it_needs_nothing_from_elsewhere_and_is_the_same_every_time() -> None:
    svg = picture(Story.good().history(), "x")
    assert svg == picture(Story.good().history(), "x")
    assert not re.search(r"href|url\((?!#)|@import|<script", svg)
    assert svg.count("http") == 1
