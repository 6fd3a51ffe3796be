"""A report in plain words: the sentences people read first, and the whole as text."""

from __future__ import annotations

from collections.abc import Sequence

from modelport.evaluation.drift import ORDER, Drift, Effect
from modelport.evaluation.intervals import Difference, Estimate
from modelport.evaluation.metrics import METRICS
from modelport.reports.content import Comparison, MonitorReport, VariantReport, Violation

FEATURES_NAMED = 3


def write_sentences(
    variants: Sequence[VariantReport],
    comparisons: Sequence[Comparison],
    violations: Sequence[Violation],
    metric: str | None,
    doubled: int,
) -> tuple[str, ...]:
    """Return what was found, most important first.

    Args:
        variants: All of them.
        comparisons: Between them.
        violations: What someone should look at.
        metric: The metric that matters most; None without labels.
        doubled: Labels for rows that had one already.
    """
    sentences: list[str] = []
    for variant in variants:
        sentences.append(_traffic(variant))
        if metric in variant.quality:
            sentences.append(f"{variant.name}: {_title(metric)} {show(variant.quality[metric])}.")
    sentences += [
        _compared(comparison, metric) for comparison in comparisons if metric in comparison.differences
    ]
    sentences += [f"{found.variant}: {found.sentence}." for found in violations if found.kind == "quality"]
    sentences += [_moved(variant) for variant in variants if variant.features]
    if doubled:
        sentences.append(f"{count(doubled, 'label')} came for rows that had one; the last received counts.")
    return tuple(sentences)


def write_text(report: MonitorReport) -> str:
    """Return the report for a terminal."""
    lines = [f"Endpoint {report.endpoint}"]
    if report.since is not None and report.until is not None:
        lines[0] += f", {report.since:%Y-%m-%d %H:%M:%S} to {report.until:%Y-%m-%d %H:%M:%S} UTC"
    lines += ["", *report.sentences]
    for variant in report.variants:
        lines += ["", f"{variant.name} ({variant.model_version})"]
        moved = sorted([*variant.answers, *variant.features], key=size, reverse=True)
        pairs = [(_title(name), show(found)) for name, found in variant.quality.items()]
        pairs += [(drift.name, drift.sentence) for drift in moved]
        width = max((len(name) for name, _ in pairs), default=0) + 2
        lines += [f"  {name:<{width}}{told}" for name, told in pairs]
        lines += [f"  left out: {number} {what}" for what, number in sorted(variant.notes.items())]
    lines += [f"left out: {number} {what}" for what, number in sorted(report.notes.items())]
    return "\n".join(lines) + "\n"


def size(drift: Drift) -> tuple[int, float]:
    """Return what sorts drifts by how large they are."""
    return ORDER.index(drift.effect), drift.psi or 0.0


def show(found: Estimate) -> str:
    """Return a number with its interval: `0.712 (0.701 to 0.722)`."""
    return f"{number(found.value)} ({number(found.lower)} to {number(found.upper)})"


def number(value: float) -> str:
    """Return a number for people: three decimals below ten, four digits above."""
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.4g}"


def percent(share: float) -> str:
    """Return a share as a percentage."""
    return f"{100 * share:.1f} %"


def count(rows: int, noun: str) -> str:
    """Return a number of things: `1 row`, `1,234 rows`."""
    return f"{rows:,} {noun}" + ("" if rows == 1 else "s")


def _title(metric: str | None) -> str:
    return METRICS[metric].title if metric in METRICS else str(metric)


def _traffic(variant: VariantReport) -> str:
    text = f"{variant.name} ({variant.model_version}) answered {count(variant.rows, 'row')}"
    if not variant.rows:
        return text + "."
    return f"{text}; labels came for {percent(variant.coverage)} of them."


def _compared(comparison: Comparison, metric: str | None) -> str:
    difference = comparison.differences[str(metric)]
    first, second, title = comparison.variant, comparison.reference, _title(metric)
    by = number(abs(difference.value))
    if difference.sign == 0:
        return f"{first} and {second}: no sure difference in {title} ({_range(difference)})."
    better = (difference.sign > 0) == (METRICS[str(metric)].better == "higher")
    word = "better" if better else "worse"
    return f"{first} is surely {word} than {second}: {title} differs by {by} ({_range(difference)})."


def _range(difference: Difference) -> str:
    return f"{difference.lower:+.3f} to {difference.upper:+.3f}"


def _moved(variant: VariantReport) -> str:
    unknown = [drift for drift in variant.features if drift.effect is Effect.UNKNOWN]
    if len(unknown) == len(variant.features):
        return f"{variant.name}: drift is not known: {unknown[0].sentence}."
    moved = sorted((drift for drift in variant.features if drift.effect.alarming), key=size, reverse=True)
    if not moved:
        return f"{variant.name}: no feature moved far from the training data."
    named = "; ".join(f"{drift.name} ({drift.sentence})" for drift in moved[:FEATURES_NAMED])
    return f"{variant.name}: {len(moved)} of {count(len(variant.features), 'feature')} moved: {named}."
