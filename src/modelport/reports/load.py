"""Latency against load: one drawing with logarithmic axes, and a page around it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from modelport.evaluation.capacity import Knee, LoadPoint, carries
from modelport.reports.page import PAGE_STYLE
from modelport.reports.svg import COLOURS, DASHES, STYLE, Frame

WIDTH, HEIGHT = 760, 360
STEPS = (1, 2, 5)


def draw_load(points: Sequence[LoadPoint], knee: Knee, *, title: str, standalone: bool = False) -> str:
    """Return median and 99th percentile of latency over requests per second, with the knee marked.

    Args:
        points: At least one; those without any answer are left out.
        knee: Its load gets a line, and its limit another.
        title: Above the plot.
        standalone: Make a file of its own.
    """
    told = _best(points)
    values = [value for one in told for value in (one.p50_ms, one.p99_ms)] or [1.0]
    rates = [one.rate for one in points]
    across = _range(min(rates), max(rates))
    up = _range(min(values), max([*values, *([] if math.isnan(knee.limit_ms) else [knee.limit_ms])]))
    frame = Frame(
        WIDTH,
        HEIGHT,
        (math.log10(across[0]), math.log10(across[1])),
        (math.log10(up[0]), math.log10(up[1])),
        margins=(64, 62, 56, 48),
        title=title,
        about=f"{title}: latency over load; the table tells the same",
    )
    for value in _marks(*up):
        place = frame.up(math.log10(value))
        frame.rule((frame.left, place), (frame.right, place))
        frame.text(frame.left - 8, place + 4, f"{value:g}", anchor="end", kind="soft")
    frame.text(frame.left - 8, frame.top - 8, "latency in ms, from when requests were due", kind="soft")
    frame.x_axis("requests per second", [(math.log10(mark), f"{mark:,g}") for mark in _marks(*across)])
    if not math.isnan(knee.limit_ms):
        limit = [(frame.left, frame.up(math.log10(knee.limit_ms))) for _ in range(2)]
        limit[1] = (frame.right, limit[0][1])
        frame.path(limit, 'fill="none" stroke="var(--soft)" stroke-dasharray="3 3"')
        frame.text(frame.left + 6, limit[0][1] - 5, f"limit {knee.limit_ms:.3g} ms", kind="soft")
    if knee.rate:
        place = frame.across(math.log10(knee.rate))
        frame.rule((place, frame.top), (place, frame.bottom), "axis")
        frame.text(place - 6, frame.top + 14, f"{knee.rate:,.0f}/s", anchor="end")
    for series, (name, values) in enumerate(
        (("p50", [one.p50_ms for one in told]), ("p99", [one.p99_ms for one in told]))
    ):
        line = [
            (frame.across(math.log10(one.rate)), frame.up(math.log10(value)))
            for one, value in zip(told, values, strict=True)
        ]
        style = f'fill="none" stroke="{COLOURS[series]}" stroke-width="2" stroke-dasharray="{DASHES[series]}"'
        frame.path(line, style)
        for x, y in line:
            frame.mark(series, x, y)
        if line:
            frame.text(line[-1][0] + 10, line[-1][1] + 4, name)
    return frame.render(standalone=standalone)


def write_load_page(points: Sequence[LoadPoint], knee: Knee, *, title: str, words: Sequence[str]) -> str:
    """Return HTML that needs nothing from elsewhere: what was found in words, the drawing, the table.

    Args:
        points: As in `draw_load`.
        knee: As in `draw_load`.
        title: Of the page.
        words: Sentences, the most important first.
    """
    found = "".join(f"<p>{escape(word)}</p>" for word in words)
    names = ("requests/s", "answered/s", "p50 ms", "p99 ms", "refused", "failed", "carried")
    head = "".join(f'<th class="number">{name}</th>' for name in names)
    rows = "".join(
        "<tr>" + "".join(f'<td class="number">{escape(cell)}</td>' for cell in _cells(one, knee)) + "</tr>"
        for one in points
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title><style>{STYLE}{PAGE_STYLE}</style></head>"
        f'<body><main><h1>{escape(title)}</h1><div class="found">{found}</div>'
        f"<figure>{draw_load(points, knee, title=title)}</figure>"
        f'<div class="table"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
        "</main></body></html>"
    )


def _best(points: Sequence[LoadPoint]) -> list[LoadPoint]:
    """Return one point for each rate, rising: of two tries the better one."""
    best: dict[float, LoadPoint] = {}
    for one in points:
        known = best.get(one.rate)
        if not math.isnan(one.p99_ms) and (known is None or one.p99_ms < known.p99_ms):
            best[one.rate] = one
    return [best[rate] for rate in sorted(best)]


def _cells(point: LoadPoint, knee: Knee) -> tuple[str, ...]:
    return (
        f"{point.rate:,.0f}",
        f"{point.goodput:,.0f}",
        f"{point.p50_ms:.2f}",
        f"{point.p99_ms:.2f}",
        f"{point.refused:,}",
        f"{point.failed:,}",
        "yes" if carries(point, knee.limit_ms) else "no",
    )


def _range(low: float, high: float) -> tuple[float, float]:
    """Return a range of a logarithmic axis: some room at both ends, never empty."""
    return low / 1.3, high * 1.3


def _marks(low: float, high: float) -> list[float]:
    """Return the round numbers of a logarithmic axis: 1, 2 and 5 in each decade, or only 1 in many."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = STEPS if len(decades) <= 5 else (1,)
    marks = [step * 10.0**decade for decade in decades for step in steps]
    return [mark for mark in marks if low <= mark <= high]
