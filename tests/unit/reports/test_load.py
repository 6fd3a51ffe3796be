"""Latency against load: every point is in the drawing, and in the table."""

import math
import xml.etree.ElementTree as ET

from modelport.evaluation.capacity import Knee, LoadPoint
from modelport.reports.load import draw_load, write_load_page

POINTS = (
    LoadPoint(50, 150, 150, 50, 0.4, 1.1),
    LoadPoint(3200, 9600, 9600, 3200, 0.6, 2.4),
    LoadPoint(6400, 19200, 9000, 3000, 800.0, 1900.0, refused=200, failed=3),
    LoadPoint(6400, 19200, 0, 0, math.nan, math.nan, failed=19200),
)
KNEE = Knee(3200, 8.3, found=True)


def test_the_drawing_is_sound_and_marks_the_knee() -> None:
    drawing = draw_load(POINTS, KNEE, title="a <model>", standalone=True)
    root = ET.fromstring(drawing)
    words = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "3,200/s" in words
    assert "a <model>" in words
    assert {"p50", "p99"} <= set(words)
    assert "nan" not in drawing


def test_the_page_holds_words_drawing_and_every_point() -> None:
    page = write_load_page(POINTS, KNEE, title="tiny & slow", words=["it carries <3,200/s>"])
    assert "tiny &amp; slow" in page
    assert "it carries &lt;3,200/s&gt;" in page
    assert page.count("<tr>") == 1 + len(POINTS)
    assert "<script" not in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")


def test_a_load_without_any_answer_can_be_drawn() -> None:
    ET.fromstring(draw_load(POINTS[-1:], Knee(0.0, math.nan, found=True), title="", standalone=True))
