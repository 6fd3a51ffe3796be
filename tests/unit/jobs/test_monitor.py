"""Watching an endpoint end to end: captures and labels in, report and verdict out."""

from __future__ import annotations

import json
import random
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes.bundles import store_bundle
from fakes.classifier import CARRIERS, LABELS, SIGNATURE, classifier_bundle, on_time
from modelport.domain.clock import SystemClock
from modelport.evaluation.baseline import encode_baseline, measure_baseline
from modelport.jobs import monitor
from modelport.settings import HomeLayout
from modelport.stores.artifacts.local import LocalArtifacts
from modelport.wire.jobs import JobResult, MonitorWork
from modelport.wire.manifest import BASELINE

START = datetime(2013, 7, 1, tzinfo=UTC)
Record = dict[str, Any]


def draw(rows: int, seed: int, *, miles: float = 12.0) -> list[Record]:
    generator = np.random.default_rng(seed)
    return [
        {
            "carrier": CARRIERS[generator.integers(3)],
            "hour": int(generator.integers(24)),
            "distance": float(generator.normal(miles, 4)),
        }
        for _ in range(rows)
    ]


def chance(record: Record) -> float:
    return on_time(record["carrier"], record["hour"], record["distance"])


def training_bundle() -> dict[str, bytes]:
    records = draw(4000, 0)
    matrix = np.array(
        [[CARRIERS.index(row["carrier"]), row["hour"], row["distance"], 0.0] for row in records]
    )
    second = np.array([chance(row) for row in records])
    baseline = measure_baseline(
        SIGNATURE,
        matrix,
        label=(second > 0.5).astype(np.int64),
        probabilities=np.column_stack([1 - second, second]),
    )
    return {**classifier_bundle(), BASELINE: encode_baseline(baseline)}


class Endpoint:
    """Writes what the data plane and `feedback` would."""

    def __init__(self, home: Path) -> None:
        self.layout = HomeLayout(home)
        self.artifacts = LocalArtifacts(self.layout.artifacts)
        self.digest = store_bundle(self.artifacts, training_bundle())
        self.folder = home / "job"
        self.folder.mkdir(parents=True)

    def capture(
        self,
        variant: str,
        records: list[Record],
        *,
        version: str = "flights:1",
        answered: bool = True,
        asked: tuple[str, str] | None = None,
    ) -> list[str]:
        """Capture one request per record; return the row ids."""
        lines, ids = [], []
        for number, record in enumerate(records):
            event = f"{variant}-{number}"
            at = START + timedelta(seconds=number)
            exchange: Record = {"endpointInput": _side("INPUT", *(asked or ("application/json", record)))}
            if answered:
                second = chance(record)
                reply = {
                    "predictions": [LABELS[second > 0.5]],
                    "probabilities": [[1 - second, second]],
                    "classes": list(LABELS),
                }
                exchange["endpointOutput"] = _side("OUTPUT", "application/json", reply)
            metadata = {"eventId": event, "inferenceTime": at.isoformat(), "modelVersion": version}
            lines.append({"captureData": exchange, "eventMetadata": metadata, "eventVersion": "0"})
            ids.append(f"{event}#0")
        _write(self.layout.captures / "flights" / variant / "2013/07/01/00" / "a.jsonl", lines)
        return ids

    def label(self, ids: list[str], labels: list[str]) -> None:
        lines = [
            {
                "groundTruthData": {"data": json.dumps(label), "encoding": "JSON"},
                "eventMetadata": {"eventId": row},
                "eventVersion": "0",
            }
            for row, label in zip(ids, labels, strict=True)
        ]
        _write(self.layout.labels / "flights" / "2013/07/02/00" / f"{len(ids)}.jsonl", lines)

    def run(self, *variants: str, stop: threading.Event | None = None, **window: str) -> JobResult:
        work = MonitorWork("flights", dict.fromkeys(variants, ("flights:1", self.digest)), **window)
        return monitor.run(work, self.folder, self.layout, self.artifacts, SystemClock(), stop=stop)

    def report(self) -> Record:
        return json.loads((self.folder / "report.json").read_bytes())


def _side(mode: str, content_type: str, body: Any) -> Record:
    data = body if isinstance(body, str) else json.dumps(body)
    encoding = "CSV" if content_type == "text/csv" else "JSON"
    return {"observedContentType": content_type, "mode": mode, "data": data, "encoding": encoding}


def _write(path: Path, lines: list[Record]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


def truths(records: list[Record], seed: int) -> list[str]:
    generator = random.Random(seed)
    return [LABELS[generator.random() < chance(record)] for record in records]


@pytest.fixture
def endpoint(tmp_path: Path) -> Endpoint:
    return Endpoint(tmp_path)


def test_quality_drift_and_words(endpoint: Endpoint) -> None:
    same, moved = draw(3000, 1), draw(1000, 2, miles=20.0)
    first, second = endpoint.capture("v1", same), endpoint.capture("v2", moved)
    endpoint.label(first, truths(same, 1))
    shuffled = list(zip(second, truths(moved, 2), strict=True))
    random.Random(0).shuffle(shuffled)
    endpoint.label([row for row, _ in shuffled[:800]], [label for _, label in shuffled[:800]])
    result = endpoint.run("v1", "v2")
    assert result.status == "Completed", result.failure_reason
    variants = result.detail["variants"]
    assert (variants["v1"]["rows"], variants["v1"]["coverage"]) == (3000, 1.0)
    assert (variants["v2"]["labelled"], variants["v2"]["coverage"]) == (800, 0.8)
    assert variants["v1"]["drifted"] == []
    assert variants["v2"]["drifted"] == ["distance"]
    auc = variants["v1"]["quality"]["auc"]
    assert auc["lower"] < auc["value"] < auc["upper"]
    assert {violation["variant"] for violation in result.detail["violations"]} == {"v2"}
    told = (endpoint.folder / "report.txt").read_text()
    assert "v1 (flights:1) answered 3,000 rows; labels came for 100.0 % of them." in told
    assert "v1: no feature moved far from the training data." in told
    assert "distance (large drift: PSI" in told
    assert (endpoint.folder / "report.html").read_text().startswith("<!doctype html>")
    assert (endpoint.folder / "report.svg").read_text().startswith("<svg")
    assert len(endpoint.report()["variants"][0]["buckets"]) > 5


def test_labels_late_shuffled_doubled_give_the_same_quality(tmp_path: Path) -> None:
    records = draw(1500, 3)
    labels = truths(records, 3)
    plain, messy = Endpoint(tmp_path / "plain"), Endpoint(tmp_path / "messy")
    plain.label(plain.capture("v1", records), labels)
    pairs = list(zip(messy.capture("v1", records), labels, strict=True))
    wrong = [(row, "late") for row, _ in pairs[:200]]
    random.Random(1).shuffle(pairs)
    messy.label([row for row, _ in [*wrong, *pairs]], [label for _, label in [*wrong, *pairs]])
    messy.label(["nobody#0"], ["late"])
    first, second = plain.run("v1").detail, messy.run("v1").detail
    assert second["variants"]["v1"]["quality"] == first["variants"]["v1"]["quality"]
    assert second["labels"] == {"received": 1701, "doubled": 200, "unmatched": 1}


def test_answers_that_were_not_kept_are_computed_again(endpoint: Endpoint) -> None:
    records = draw(500, 4)
    endpoint.label(endpoint.capture("v1", records, answered=False), truths(records, 4))
    quality = endpoint.run("v1").detail["variants"]["v1"]["quality"]
    assert quality["auc"]["rows"] == 500


def test_bodies_of_any_content_type_become_rows(endpoint: Endpoint) -> None:
    rows = "".join(f"{row['carrier']},{row['hour']},{row['distance']},\n" for row in draw(300, 5))
    endpoint.capture("v1", draw(1, 5), answered=False, asked=("text/csv", rows))
    assert endpoint.run("v1").detail["variants"]["v1"]["rows"] == 300


def test_bad_records_are_counted_and_never_raise(endpoint: Endpoint) -> None:
    records = draw(300, 6)
    ids = endpoint.capture("v1", records)
    endpoint.capture("v1", draw(3, 7), asked=("application/json", "no json"), answered=False)
    endpoint.capture("v1", draw(2, 8), asked=("application/unheard-of", "x"), answered=False)
    endpoint.capture("v1", draw(4, 9), version="flights:7")
    endpoint.label(ids, ["a word it never learnt", *truths(records, 6)[1:]])
    result = endpoint.run("v1")
    assert result.status == "Completed", result.failure_reason
    assert endpoint.report()["variants"][0]["notes"] == {
        "requests that cannot be decoded": 5,
        "requests with neither readable rows nor readable answers": 5,
        "requests answered by flights:7": 4,
        "labels that the model does not know": 1,
    }


def test_few_rows_give_words_instead_of_numbers(endpoint: Endpoint) -> None:
    endpoint.capture("v1", draw(37, 10))
    result = endpoint.run("v1")
    assert result.detail["violations"] == []
    assert "too few rows: 37 of 200 needed" in result.detail["sentences"][-1]


def test_nothing_captured_says_how_to_turn_it_on(endpoint: Endpoint) -> None:
    result = endpoint.run("v1")
    assert result.status == "Failed"
    assert "--endpoint flights --capture 100%" in str(result.failure_reason)


def test_an_empty_window_is_said(endpoint: Endpoint) -> None:
    endpoint.capture("v1", draw(300, 11))
    result = endpoint.run("v1", since="2020-01-01T00:00:00Z")
    assert result.status == "Failed"
    assert "in this window" in str(result.failure_reason)


def test_it_stops_when_asked(endpoint: Endpoint) -> None:
    endpoint.capture("v1", draw(300, 12))
    asked = threading.Event()
    asked.set()
    assert endpoint.run("v1", stop=asked).status == "Stopped"


def test_quality_that_falls_is_a_finding(endpoint: Endpoint) -> None:
    records = draw(4000, 13)
    labels = truths(records[:2000], 13) + [LABELS[number % 2] for number in range(2000)]
    endpoint.label(endpoint.capture("v1", records), labels)
    violations = endpoint.run("v1").detail["violations"]
    assert [violation["kind"] for violation in violations][:1] == ["quality"]
    assert "AUC fell from" in violations[0]["sentence"]
