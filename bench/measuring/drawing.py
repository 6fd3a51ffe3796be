"""Bars: requests per second of everybody who served one model. Linear, so that lengths are what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from modelport.reports.svg import Frame, label_width, ticks

BAR_PX = 24
OURS, FLOOR, PEER = "var(--c0)", "var(--line)", "var(--c1)"


@dataclass(frozen=True, slots=True)
class Bar:
    """One line of the chart.

    Args:
        name: Left of it.
        value: Its length, at least 0.
        told: Right of it.
        kind: "ours", "bound" (floor and ceiling) or "peer".
    """

    name: str
    value: float
    told: str
    kind: str


def draw_bars(bars: Sequence[Bar], *, title: str, axis: str) -> str:
    """Return horizontal bars as a standalone SVG drawing.

    Args:
        bars: From top to bottom; at least one.
        title: Above them.
        axis: What the lengths are.
    """
    most = max(bar.value for bar in bars) or 1.0
    left = 24 + max(label_width(bar.name) for bar in bars)
    right = 20 + max(label_width(bar.told) for bar in bars)
    frame = Frame(
        860,
        104 + BAR_PX * len(bars),
        (0.0, most),
        (0.0, float(len(bars))),
        margins=(left, 48, right, 48),
        title=title,
        about=f"{title}: {'; '.join(f'{bar.name} {bar.told}' for bar in bars)}",
    )
    frame.x_axis(axis, [(value, f"{value:,.0f}") for value in ticks(0, most, count=4)])
    fills = {"ours": OURS, "bound": FLOOR, "peer": PEER}
    for row, bar in enumerate(bars):
        top = frame.top + row * BAR_PX + 3
        width = max(1.5, frame.across(bar.value) - frame.left)
        frame.box(frame.left, top, width, BAR_PX - 7, f'fill="{fills[bar.kind]}" rx="2"')
        frame.text(frame.left - 8, top + 13, bar.name, anchor="end")
        frame.text(frame.left + width + 6, top + 13, bar.told)
    return frame.render(standalone=True)
