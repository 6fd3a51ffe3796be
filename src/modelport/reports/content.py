"""What a monitoring report holds: measured values only, ready to be written as JSON, text or pictures."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from modelport.evaluation.drift import Drift
from modelport.evaluation.intervals import Difference, Estimate
from modelport.evaluation.metrics import ReliabilityBin


@dataclass(frozen=True, slots=True)
class Bucket:
    """A span of time.

    Args:
        start: First moment, UTC.
        end: First moment after it.
        rows: Labelled rows in it.
        quality: Metric name to estimate; empty with too few rows.
    """

    start: datetime
    end: datetime
    rows: int
    quality: dict[str, Estimate]


@dataclass(frozen=True, slots=True)
class VariantReport:
    """One variant.

    Args:
        name: Of the variant.
        model_version: `NAME:3`.
        requests: Captured requests in the window.
        rows: Rows in them.
        labelled: Rows whose label came in.
        quality: Metric name to estimate, over all labelled rows.
        buckets: The same over time.
        reliability: How often what was predicted happened; empty without probabilities.
        features: Drift of each feature the model uses.
        answers: Drift of its answers.
        notes: What was left out, and how often.
    """

    name: str
    model_version: str
    requests: int
    rows: int
    labelled: int
    quality: dict[str, Estimate]
    buckets: tuple[Bucket, ...] = ()
    reliability: tuple[ReliabilityBin, ...] = ()
    features: tuple[Drift, ...] = ()
    answers: tuple[Drift, ...] = ()
    notes: dict[str, int] = field(default_factory=dict)

    @property
    def coverage(self) -> float:
        """Return the share of rows whose label came in, 0 to 1."""
        return self.labelled / self.rows if self.rows else 0.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """How one variant differs from the one with the most traffic.

    Args:
        variant: The one.
        reference: The other.
        differences: Metric name to (variant minus reference).
    """

    variant: str
    reference: str
    differences: dict[str, Difference]


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that someone should look at.

    Args:
        variant: Which variant.
        about: The feature, the answer or the metric.
        kind: `drift` or `quality`.
        sentence: What happened.
    """

    variant: str
    about: str
    kind: str
    sentence: str


@dataclass(frozen=True, slots=True)
class MonitorReport:
    """What a monitor run found.

    Args:
        endpoint: Which endpoint.
        made_at: When, UTC.
        since: First moment of the traffic seen; None without traffic.
        until: Last moment of it.
        metric: The metric that matters most for this task; None without labels.
        variants: The one with the most traffic first.
        comparisons: Each other variant against the first.
        violations: What someone should look at.
        sentences: All of it in plain words.
        labels_received: Labels read.
        labels_doubled: Labels for rows that had one already; the last received counts.
        labels_unmatched: Labels of rows that are not in the captures of the window.
        notes: What was left out, and how often.
    """

    endpoint: str
    made_at: datetime
    since: datetime | None
    until: datetime | None
    metric: str | None
    variants: tuple[VariantReport, ...]
    comparisons: tuple[Comparison, ...] = ()
    violations: tuple[Violation, ...] = ()
    sentences: tuple[str, ...] = ()
    labels_received: int = 0
    labels_doubled: int = 0
    labels_unmatched: int = 0
    notes: dict[str, int] = field(default_factory=dict)
