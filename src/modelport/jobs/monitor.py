"""Watching an endpoint: captured traffic against the training data, predictions against labels.

Reads what the data plane and `feedback` wrote, never the endpoint itself, and leaves in the job's folder
`report.json`, `report.txt`, `report.html` and `report.svg`, its most telling picture. A record that cannot
be read is counted in the report.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from modelport.domain.clock import Clock
from modelport.domain.errors import Conflict, InvalidInput, ModelportError
from modelport.domain.names import check_name
from modelport.domain.signature import Signature, Task
from modelport.durable import crash_point, write_durably
from modelport.evaluation.baseline import Baseline, decode_baseline
from modelport.evaluation.intervals import Estimate, subtract
from modelport.evaluation.metrics import (
    METRICS,
    ReliabilityBin,
    compare,
    measure_classification,
    measure_regression,
    reliability,
)
from modelport.jobs.captures import Labels, Window, read_captures, read_labels
from modelport.jobs.progress import ProgressFile
from modelport.jobs.spans import split
from modelport.jobs.stopping import Flag, StopRequest
from modelport.jobs.watching import Labelled, VariantWatch
from modelport.reports.content import Bucket, Comparison, MonitorReport, VariantReport, Violation
from modelport.reports.page import write_page
from modelport.reports.picture import draw_picture
from modelport.reports.wording import count, write_sentences, write_text
from modelport.runtime.model import LoadedModel
from modelport.settings import HomeLayout
from modelport.stores.artifacts.local import LocalArtifacts
from modelport.wire.jobs import JobResult, MonitorWork, Progress
from modelport.wire.manifest import BASELINE, decode_manifest

REPORT_JSON, REPORT_TEXT, REPORT_PAGE = "report.json", "report.txt", "report.html"
REPORT_PICTURE = "report.svg"
MAIN_METRICS = ("auc", "accuracy", "rmse")
TREND_ROWS_MIN = 200


class _StopAsked(Exception):
    """The job was asked to stop."""


def run(
    work: MonitorWork,
    folder: Path,
    layout: HomeLayout,
    artifacts: LocalArtifacts,
    clock: Clock,
    *,
    stop: Flag | None = None,
) -> JobResult:
    """Compare an endpoint's traffic with its training data and its labels.

    Args:
        work: Which endpoint, variants and window.
        folder: The job's folder; gets the report.
        layout: Where captures and labels lie.
        artifacts: Where the models are.
        clock: Source of time.
        stop: Set on SIGTERM.

    Returns:
        Completed, also when something is amiss (`detail["violations"]`); Failed with the reason when
        there is nothing to look at; Stopped when it was asked to.
    """
    try:
        return _monitor(work, folder, layout, artifacts, clock, StopRequest(folder, clock, stop))
    except _StopAsked:
        return JobResult("Stopped", progress=Progress(phase="stopped"))
    except ModelportError as error:
        reason = error.message if error.hint is None else f"{error.message}; {error.hint}"
        return JobResult("Failed", failure_reason=reason, progress=Progress(phase="failed"))


def _monitor(
    work: MonitorWork,
    folder: Path,
    layout: HomeLayout,
    artifacts: LocalArtifacts,
    clock: Clock,
    stop: StopRequest,
) -> JobResult:
    endpoint = check_name(work.endpoint, what="endpoint")
    captures = layout.captures / endpoint
    if not any(captures.rglob("*.jsonl")):
        raise Conflict(
            f"endpoint {endpoint} has no captured traffic",
            hint="turn capture on with `modelport deploy NAME:VERSION "
            f"--endpoint {endpoint} --capture 100%`, then send requests",
        )
    window = Window(_moment(work.since), _moment(work.until))
    progress = ProgressFile(folder, clock)
    notes: Counter[str] = Counter()
    progress.write(Progress(phase="reading labels"))
    labels = read_labels(layout.labels / endpoint, notes)
    rows = 0
    seen: list[datetime] = []
    found: list[tuple[VariantReport, Labelled]] = []
    matched: set[str] = set()
    for name, (version, digest) in work.variants.items():
        place = captures / check_name(name, what="variant")
        watch = VariantWatch(
            LoadedModel.load(artifacts, digest), version, _baseline(artifacts, digest), labels.by_row
        )
        bad: Counter[str] = Counter()
        for captured in read_captures(place, window, bad):
            if stop.made():
                raise _StopAsked
            watch.add(captured)
            seen = [min([*seen[:1], captured.at]), max([*seen[1:], captured.at])]
            progress.write(Progress(rows_done=rows + watch.rows, phase="reading captures"))
        watch.flush()
        rows += watch.rows
        matched |= watch.matched_ids
        found.append(_report_variant(name, version, watch, bad))
    if not seen:
        raise Conflict(
            f"endpoint {endpoint} has no captured traffic in this window",
            hint="widen --since and --until, or send requests",
        )
    progress.write(Progress(rows_done=rows, phase="comparing"))
    report = _conclude(endpoint, found, labels, matched, notes, seen, clock.now())
    _write(folder, report)
    return JobResult(
        "Completed", progress=Progress(rows_done=rows, rows_total=rows, phase="done"), detail=_detail(report)
    )


def _report_variant(
    name: str, version: str, watch: VariantWatch, bad: Counter[str]
) -> tuple[VariantReport, Labelled]:
    labelled = watch.labelled()
    signature = watch.signature
    features, answers = watch.drift()
    buckets = tuple(
        Bucket(start, end, len(places), _measure(signature, labelled.take(places)))
        for start, end, places in split(labelled.at)
    )
    report = VariantReport(
        name=name,
        model_version=version,
        requests=watch.requests,
        rows=watch.rows,
        labelled=len(labelled),
        quality=_measure(signature, labelled),
        buckets=buckets,
        reliability=_reliability(signature, labelled),
        features=features,
        answers=answers,
        notes=dict(bad + watch.bad),
    )
    return report, labelled


def _conclude(
    endpoint: str,
    found: list[tuple[VariantReport, Labelled]],
    labels: Labels,
    matched: set[str],
    notes: Counter[str],
    seen: list[datetime],
    now: datetime,
) -> MonitorReport:
    found = sorted(found, key=lambda pair: -pair[0].rows)
    variants = tuple(report for report, _ in found)
    metric = next((name for name in MAIN_METRICS if any(name in one.quality for one in variants)), None)
    comparisons = tuple(
        Comparison(other.name, variants[0].name, compare(other.quality, variants[0].quality))
        for other in variants[1:]
        if other.quality and variants[0].quality
    )
    violations = tuple(violation for variant in variants for violation in _violations(variant, metric))
    return MonitorReport(
        endpoint=endpoint,
        made_at=now,
        since=seen[0],
        until=seen[-1],
        metric=metric,
        variants=variants,
        comparisons=comparisons,
        violations=violations,
        sentences=write_sentences(variants, comparisons, violations, metric, labels.doubled),
        labels_received=labels.received,
        labels_doubled=labels.doubled,
        labels_unmatched=len(labels.by_row) - len(matched),
        notes=dict(notes),
    )


def _violations(variant: VariantReport, metric: str | None) -> list[Violation]:
    """Return what someone should look at: features and answers that moved, quality that fell."""
    found = [
        Violation(variant.name, drift.name, "drift", drift.sentence)
        for drift in (*variant.answers, *variant.features)
        if drift.effect.alarming
    ]
    if metric is None:
        return found
    told = [
        bucket for bucket in variant.buckets if metric in bucket.quality and bucket.rows >= TREND_ROWS_MIN
    ]
    if len(told) < 2:
        return found
    first, last = told[0].quality[metric], told[-1].quality[metric]
    change = subtract(last, first)
    fell = -1 if METRICS[metric].better == "higher" else 1
    if change.sign == fell:
        title = METRICS[metric].title
        verb = "fell" if fell < 0 else "rose"
        sentence = f"{title} {verb} from {first.value:.3f} to {last.value:.3f} within the window"
        found.insert(0, Violation(variant.name, metric, "quality", sentence))
    return found


def _measure(signature: Signature, labelled: Labelled) -> dict[str, Estimate]:
    outputs = labelled.outputs
    if signature.output.task is Task.REGRESSION:
        if outputs.predictions is None:
            return {}
        return measure_regression(labelled.truth, outputs.predictions[:, 0])
    if outputs.label is None:
        return {}
    return measure_classification(
        labelled.truth.astype(np.int64), outputs.label, outputs.probabilities, len(signature.output.labels)
    )


def _reliability(signature: Signature, labelled: Labelled) -> tuple[ReliabilityBin, ...]:
    probabilities = labelled.outputs.probabilities
    if probabilities is None or len(labelled) == 0:
        return ()
    return reliability(labelled.truth.astype(np.int64), probabilities, len(signature.output.labels))


def _baseline(artifacts: LocalArtifacts, digest: str) -> Baseline | None:
    files = decode_manifest(artifacts.read(digest)).files
    return decode_baseline(artifacts.read(files[BASELINE])) if BASELINE in files else None


def _write(folder: Path, report: MonitorReport) -> None:
    content = msgspec.json.format(msgspec.json.encode(report))
    for name, body in (
        (REPORT_JSON, content),
        (REPORT_TEXT, write_text(report).encode()),
        (REPORT_PICTURE, (draw_picture(report) or "").encode()),
        (REPORT_PAGE, write_page(report).encode()),
    ):
        write_durably(folder / name, body, mode=0o644)
        crash_point("monitor.after_report")


def _detail(report: MonitorReport) -> dict[str, Any]:
    """Return the short form that stands in the job's result."""
    looked_at = sum(variant.rows for variant in report.variants)
    amiss = count(len(report.violations), "finding") if report.violations else "nothing"
    conclusion = f"{count(looked_at, 'row')} looked at, {amiss} to look into"
    return {
        "conclusion": conclusion,
        "sentences": list(report.sentences),
        "metric": report.metric,
        "violations": list(msgspec.to_builtins(report.violations)),
        "variants": {
            variant.name: {
                "model_version": variant.model_version,
                "rows": variant.rows,
                "labelled": variant.labelled,
                "coverage": variant.coverage,
                "quality": msgspec.to_builtins(variant.quality),
                "drifted": [drift.name for drift in variant.features if drift.effect.alarming],
            }
            for variant in report.variants
        },
        "comparisons": list(msgspec.to_builtins(report.comparisons)),
        "labels": {
            "received": report.labels_received,
            "doubled": report.labels_doubled,
            "unmatched": report.labels_unmatched,
        },
        "reports": [REPORT_JSON, REPORT_TEXT, REPORT_PAGE, REPORT_PICTURE],
    }


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(
            f"{text!r} is not a time, expected RFC 3339", hint="write 2013-07-01T00:00:00Z"
        ) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
