"""The charts of a monitoring report, each as one SVG drawing. Never told by colour alone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from modelport.evaluation.drift import PSI_BOUNDS, Drift, Effect
from modelport.evaluation.metrics import METRICS
from modelport.reports.content import VariantReport
from modelport.reports.svg import COLOURS, DASHES, Frame, label_width, shorten, ticks, widen
from modelport.reports.wording import size

PSI_SHOWN_MAX = 1.0
BAR_PX = 22
CATEGORIES_SHOWN = 8
NAME_LETTERS = 24


def draw_quality(
    variants: Sequence[VariantReport], metric: str, *, standalone: bool = False, title: str = ""
) -> str | None:
    """Return quality over time: a line with its interval band for each variant.

    Args:
        variants: At most five are told apart well.
        metric: Which one.
        standalone: Make a file of its own.
        title: Above the plot; empty: the metric's name.

    Returns:
        The drawing, or None when no variant has the metric at any time.
    """
    told = [
        (series, variant, points)
        for series, variant in enumerate(variants)
        if (points := [bucket for bucket in variant.buckets if metric in bucket.quality])
    ]
    if not told:
        return None
    times = [moment for _, _, points in told for one in points for moment in (one.start, one.end)]
    first, last = min(times).timestamp(), max(times).timestamp()
    lows = [one.quality[metric].lower for _, _, points in told for one in points]
    highs = [one.quality[metric].upper for _, _, points in told for one in points]
    name = METRICS[metric].title
    direction = METRICS[metric].better
    room = 24 + max(label_width(shorten(variant.name, NAME_LETTERS)) for _, variant, _ in told)
    frame = Frame(
        760,
        320,
        (first, last),
        widen(min(lows), max(highs)),
        margins=(56, 60, room, 44),
        title=title or f"{name} over time",
        about=f"{name} over time for {', '.join(variant.name for _, variant, _ in told)}; table follows",
    )
    frame.y_axis(f"{name} ({direction} is better), band: 95 % interval")
    frame.x_axis("", _time_marks(first, last))
    ends: list[tuple[float, float, int, str]] = []
    for series, variant, points in told:
        colour = COLOURS[series % len(COLOURS)]
        middles = [frame.across((one.start.timestamp() + one.end.timestamp()) / 2) for one in points]
        values = [one.quality[metric] for one in points]
        upper = [(x, frame.up(value.upper)) for x, value in zip(middles, values, strict=True)]
        lower = [(x, frame.up(value.lower)) for x, value in zip(middles, values, strict=True)]
        if len(points) == 1:
            frame.path([upper[0], lower[0]], f'fill="none" stroke="{colour}" stroke-width="2"')
        frame.path([*upper, *reversed(lower)], f'fill="{colour}" fill-opacity="0.16"', closed=True)
        line = [(x, frame.up(value.value)) for x, value in zip(middles, values, strict=True)]
        dash = DASHES[series % len(DASHES)]
        frame.path(line, f'fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"')
        for x, y in line:
            frame.mark(series, x, y)
        ends.append((line[-1][1], line[-1][0], series, variant.name))
    _label_ends(frame, ends)
    return frame.render(standalone=standalone)


def draw_drift(drifts: Sequence[Drift], *, title: str = "", standalone: bool = False) -> str | None:
    """Return one bar for each column: how far it moved, in PSI, the largest first.

    Args:
        drifts: Columns with a number; the others are left out.
        title: Above the plot.
        standalone: Make a file of its own.

    Returns:
        The drawing, or None when no column has a number.
    """
    told = sorted((drift for drift in drifts if drift.psi is not None), key=size, reverse=True)
    if not told:
        return None
    most = max(0.3, min(PSI_SHOWN_MAX, max(drift.psi or 0.0 for drift in told)))
    names = [shorten(drift.name, NAME_LETTERS) for drift in told]
    frame = Frame(
        760,
        100 + BAR_PX * len(told),
        (0.0, most),
        (0.0, float(len(told))),
        margins=(20 + max(map(label_width, names)), 52, 130, 44),
        title=title or "Drift from the training data",
        about=f"Drift of {len(told)} columns as bars; table follows",
    )
    for bound, word in zip(PSI_BOUNDS[1:], ("moderate", "large"), strict=True):
        place = frame.across(bound)
        frame.rule((place, frame.top - 2), (place, frame.bottom), "axis")
        frame.text(place, frame.top - 8, word, anchor="middle", kind="soft")
    frame.x_axis(
        "population stability index, corrected for chance",
        [(value, f"{value:g}") for value in ticks(0, most)],
    )
    for row, (drift, name) in enumerate(zip(told, names, strict=True)):
        psi = drift.psi or 0.0
        top = frame.top + row * BAR_PX + 3
        fill = "var(--alarm)" if drift.effect.alarming else "var(--soft)"
        width = frame.across(min(psi, most)) - frame.left
        frame.box(frame.left, top, max(width, 1.5), BAR_PX - 6, f'fill="{fill}" rx="2"')
        frame.text(frame.left - 8, top + 12, name, anchor="end")
        beyond = " →" if psi > most else ""
        frame.text(frame.left + width + 6, top + 12, f"{psi:.2f}{beyond}  {_word(drift)}")
    return frame.render(standalone=standalone)


def draw_shape(drift: Drift, *, standalone: bool = False) -> str | None:
    """Return training data and traffic of one column over each other.

    Numbers: the training data as a filled outline, the traffic as a line. Categories: two bars each, of
    those whose share changed most.

    Returns:
        The drawing, or None when there is none to make.
    """
    shape = drift.shape
    if shape is None or not shape.expected:
        return None
    return _draw_numbers(drift, standalone) if shape.edges else _draw_categories(drift, standalone)


def draw_reliability(variants: Sequence[VariantReport], *, standalone: bool = False) -> str | None:
    """Return how often what was predicted happened, against the diagonal of perfect calibration.

    Returns:
        The drawing, or None when no variant has probabilities with labels.
    """
    told = [(series, variant) for series, variant in enumerate(variants) if variant.reliability]
    if not told:
        return None
    frame = Frame(
        440,
        420,
        (0.0, 1.0),
        (0.0, 1.0),
        margins=(60, 76, 20, 52),
        title="What was predicted, and what happened",
        about="Reliability curve; table follows",
    )
    frame.y_axis("share in which it happened, with 95 % intervals", percent=True)
    frame.x_axis("predicted probability", [(value, f"{100 * value:.4g} %") for value in ticks(0, 1)])
    frame.path(
        [(frame.across(0), frame.up(0)), (frame.across(1), frame.up(1))],
        'fill="none" stroke="var(--soft)" stroke-width="1" stroke-dasharray="3 3"',
    )
    for series, variant in told:
        colour = COLOURS[series % len(COLOURS)]
        line = []
        for one in variant.reliability:
            x = frame.across(one.predicted)
            low, high = frame.up(one.observed.lower), frame.up(one.observed.upper)
            frame.path([(x, low), (x, high)], f'fill="none" stroke="{colour}" stroke-opacity="0.6"')
            line.append((x, frame.up(one.observed.value)))
        dash = DASHES[series % len(DASHES)]
        frame.path(line, f'fill="none" stroke="{colour}" stroke-width="1.5" stroke-dasharray="{dash}"')
        for x, y in line:
            frame.mark(series, x, y)
    place = frame.left
    for series, variant in told:
        name = shorten(variant.name, NAME_LETTERS)
        frame.mark(series, place + 5, 44)
        frame.text(place + 16, 48, name)
        place += 36 + label_width(name)
    return frame.render(standalone=standalone)


def _draw_numbers(drift: Drift, standalone: bool) -> str:  # noqa: FBT001 - private, one caller
    shape = drift.shape
    assert shape is not None  # noqa: S101 - the only caller checked it
    edges, most = shape.edges, max(*shape.expected, *shape.observed) or 1.0
    frame = Frame(
        370,
        230,
        (edges[0], edges[-1]),
        (0.0, most * 1.08),
        margins=(52, 62, 14, 30),
        title=shorten(f"{drift.name}: {_word(drift)}", 48),
        about=f"Distribution of {drift.name} in training and traffic. {drift.sentence}",
    )
    frame.y_axis("", percent=True)
    frame.x_axis("", [(value, f"{value:g}") for value in ticks(edges[0], edges[-1], count=4)])
    base = [(frame.across(edges[-1]), frame.bottom), (frame.across(edges[0]), frame.bottom)]
    then = _steps(frame, edges, shape.expected)
    frame.path([*then, *base], 'fill="var(--soft)" fill-opacity="0.35"', closed=True)
    frame.path(_steps(frame, edges, shape.observed), 'fill="none" stroke="var(--c0)" stroke-width="2.2"')
    _legend(frame)
    return frame.render(standalone=standalone)


def _draw_categories(drift: Drift, standalone: bool) -> str:  # noqa: FBT001 - private, one caller
    shape = drift.shape
    assert shape is not None  # noqa: S101 - the only caller checked it
    rows = sorted(
        zip(shape.values, shape.expected, shape.observed, strict=True),
        key=lambda row: abs(row[1] - row[2]),
        reverse=True,
    )[:CATEGORIES_SHOWN]
    names = [shorten(row[0], 14) for row in rows]
    most = max(max(then, now) for _, then, now in rows) or 1.0
    frame = Frame(
        370,
        96 + 24 * len(rows),
        (0.0, most * 1.02),
        (0.0, float(len(rows))),
        margins=(16 + max(map(label_width, names)), 62, 20, 30),
        title=shorten(f"{drift.name}: {_word(drift)}", 48),
        about=f"Shares of {drift.name} in training and traffic. {drift.sentence}",
    )
    frame.x_axis("", [(value, f"{100 * value:.4g} %") for value in ticks(0, most, count=4)])
    for row, ((_, then, now), name) in enumerate(zip(rows, names, strict=True)):
        top = frame.top + 24 * row
        frame.text(frame.left - 8, top + 15, name, anchor="end")
        grey = 'fill="var(--soft)" fill-opacity="0.45"'
        frame.box(frame.left, top + 2, frame.across(then) - frame.left, 9, grey)
        blue = 'fill="none" stroke="var(--c0)" stroke-width="2"'
        frame.box(frame.left, top + 12, frame.across(now) - frame.left, 7, blue)
    _legend(frame)
    return frame.render(standalone=standalone)


def _steps(frame: Frame, edges: Sequence[float], shares: Sequence[float]) -> list[tuple[float, float]]:
    points: list[tuple[float, float]] = []
    for start, end, share in zip(edges[:-1], edges[1:], shares, strict=True):
        points += [(frame.across(start), frame.up(share)), (frame.across(end), frame.up(share))]
    return points


def _legend(frame: Frame) -> None:
    frame.box(16, 34, 16, 10, 'fill="var(--soft)" fill-opacity="0.4"')
    frame.text(38, 43, "training", kind="soft")
    frame.path([(104, 39), (122, 39)], 'fill="none" stroke="var(--c0)" stroke-width="2.2"')
    frame.text(128, 43, "traffic", kind="soft")


def _label_ends(frame: Frame, ends: list[tuple[float, float, int, str]]) -> None:
    """Write each line's name at its end, moved apart where two would touch."""
    lowest = frame.top - 16
    for y, _, series, name in sorted(ends):
        lowest = max(y, lowest + 16)
        frame.mark(series, frame.right + 10, lowest)
        frame.text(frame.right + 19, lowest + 4, shorten(name, NAME_LETTERS))


def _time_marks(first: float, last: float) -> list[tuple[float, str]]:
    """Return four to six moments, written as precisely as the span asks for."""
    span = last - first
    form = "%H:%M:%S" if span < 3600 else "%H:%M" if span < 86_400 else "%d %b"
    if 86_400 <= span < 3 * 86_400:
        form = "%d %b %H:%M"
    if span > 400 * 86_400:
        form = "%b %Y"
    count = 5
    moments = [first + span * step / (count - 1) for step in range(count)]
    return [(moment, datetime.fromtimestamp(moment, UTC).strftime(form)) for moment in moments]


def _word(drift: Drift) -> str:
    if drift.effect is Effect.NONE:
        return "no drift"
    return f"{drift.effect} drift"
