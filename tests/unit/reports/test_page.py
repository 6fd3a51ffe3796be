"""The page, its pictures and its words: complete, well-formed, safe, and never told by colour alone."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from modelport.domain.signature import Feature, FeatureType
from modelport.evaluation.baseline import describe_feature, describe_numbers
from modelport.evaluation.drift import Drift, Tally, measure_drift
from modelport.evaluation.intervals import Estimate
from modelport.evaluation.metrics import ReliabilityBin
from modelport.reports.charts import draw_drift, draw_quality, draw_reliability, draw_shape
from modelport.reports.content import Bucket, MonitorReport, VariantReport
from modelport.reports.page import write_page
from modelport.reports.picture import draw_picture
from modelport.reports.svg import ticks
from modelport.reports.wording import write_text

START = datetime(2013, 7, 1, tzinfo=UTC)
NASTY = '<script>alert("1")</script>'


def estimate(value: float) -> Estimate:
    return Estimate(value, value - 0.02, value + 0.02, 500, "DeLong")


def numbers(name: str, shift: float) -> Drift:
    generator = np.random.default_rng(1)
    tally = Tally(describe_numbers(name, generator.normal(size=4000)))
    tally.add(generator.normal(shift, 1, 4000))
    return measure_drift(tally)


def categories(name: str) -> Drift:
    feature = Feature(name, FeatureType.STRING, vocabulary=("EWR", NASTY, "LGA"))
    tally = Tally(describe_feature(feature, np.repeat([0.0, 1.0, 2.0], 1000)))
    tally.add(np.repeat([0.0, 1.0, 2.0, 3.0], [100, 2000, 300, 400]))
    return measure_drift(tally)


def variant(name: str, auc: float) -> VariantReport:
    return VariantReport(
        name=name,
        model_version="flights:1",
        requests=1000,
        rows=1000,
        labelled=800,
        quality={"auc": estimate(auc)},
        buckets=tuple(
            Bucket(
                START + timedelta(hours=hour),
                START + timedelta(hours=hour + 1),
                80,
                {"auc": estimate(auc + 0.01 * hour)} if hour != 3 else {},
            )
            for hour in range(8)
        ),
        reliability=(ReliabilityBin(0.2, estimate(0.25)), ReliabilityBin(0.7, estimate(0.6))),
        features=(numbers("temp", 1.0), numbers("hour", 0.0), categories("origin")),
        answers=(numbers("probability of late", 0.3),),
        notes={"requests that cannot be decoded": 3},
    )


def report(*variants: VariantReport, metric: str | None = "auc") -> MonitorReport:
    return MonitorReport(
        endpoint="flights",
        made_at=START,
        since=START,
        until=START + timedelta(hours=8),
        metric=metric,
        variants=variants,
        sentences=("One sentence.", NASTY),
        labels_received=800,
    )


def check_drawing(drawing: str | None) -> str:
    assert drawing is not None
    ET.fromstring(drawing)
    assert "nan" not in drawing.lower()
    assert 'role="img"' in drawing
    assert "aria-label" in drawing
    return drawing


def test_every_picture_is_well_formed_and_named() -> None:
    both = [variant("v1", 0.7), variant(NASTY, 0.75)]
    quality = check_drawing(draw_quality(both, "auc"))
    assert "v1" in quality
    assert NASTY not in quality
    assert "stroke-dasharray" in quality  # lines differ by dashes and marks, not by colour alone
    check_drawing(draw_reliability(both))
    bars = check_drawing(draw_drift(both[0].features))
    assert "large drift" in bars
    assert "no drift" in bars
    for drift in both[0].features:
        shape = check_drawing(draw_shape(drift))
        assert "training" in shape
        assert NASTY not in shape


def test_a_page_needs_nothing_from_elsewhere_and_runs_nothing() -> None:
    page = write_page(report(variant("v1", 0.7), variant("v2", 0.75)))
    assert NASTY not in page
    assert "<script" not in page
    assert not re.search(r"(?:src|href|url)\s*[=(]", page)
    assert "prefers-color-scheme: dark" in page
    assert page.count("<details>") == page.count("</details>") == 4  # a table behind each chart
    assert "<svg" in page
    for told in ("One sentence.", "flights:1", "80.0 %", "requests that cannot be decoded"):
        assert told in page


def test_without_labels_the_page_says_how_to_send_them() -> None:
    bare = VariantReport("v1", "flights:1", 10, 10, 0, {}, features=(numbers("temp", 1.0),))
    page = write_page(report(bare, metric=None))
    assert "modelport feedback flights FILE" in page
    assert check_drawing(draw_picture(report(bare, metric=None))).startswith("<svg")


def test_a_standalone_picture_carries_its_style() -> None:
    drawing = check_drawing(draw_picture(report(variant("v1", 0.7))))
    assert "<style>" in drawing
    assert "prefers-color-scheme: dark" in drawing


def test_one_bucket_one_point() -> None:
    whole = variant("v1", 0.7)
    one = VariantReport("v1", "flights:1", 1, 1, 1, whole.quality, buckets=whole.buckets[:1])
    check_drawing(draw_quality([one], "auc"))


def test_the_text_has_every_number() -> None:
    text = write_text(report(variant("v1", 0.7)))
    assert "AUC" in text
    assert "0.700 (0.680 to 0.720)" in text
    assert "left out: 3 requests that cannot be decoded" in text


@pytest.mark.parametrize(("first", "last"), [(0, 1), (0.61, 0.64), (-3, 70_000), (1e-9, 2e-9), (5, 5)])
def test_ticks_are_round_and_inside(first: float, last: float) -> None:
    found = ticks(first, last)
    assert all(first - 1e-9 <= tick <= last + 1e-9 for tick in found)
    if last > first:
        assert 3 <= len(found) <= 8
