"""Drawing in SVG: one frame with axes, in which charts place lines, bands, bars and marks.

Colours are CSS variables, so that one drawing serves light and dark pages; a standalone drawing carries
the variables with it. Text is text: it can be read, searched and scaled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

STYLE = """
:root, svg { --paper: #ffffff; --ink: #1b1f24; --soft: #57606a; --line: #d0d7de; --faint: #f3f5f7;
  --c0: #0b63c4; --c1: #b3480c; --c2: #19733d; --c3: #7b3fb8; --c4: #93660a; --alarm: #b01e2e; }
@media (prefers-color-scheme: dark) {
  :root, svg { --paper: #14181d; --ink: #e8ebee; --soft: #a3adb8; --line: #3a424c; --faint: #1e242b;
    --c0: #6cb2ff; --c1: #ff9d5c; --c2: #63d188; --c3: #c99bff; --c4: #e3bd52; --alarm: #ff7b88; }
}
svg text { font: 12px system-ui, -apple-system, "Segoe UI", "Liberation Sans", sans-serif; fill: var(--ink);
  paint-order: stroke; stroke: var(--paper); stroke-width: 3px; }
svg .soft { fill: var(--soft); }
svg .title { font-size: 15px; font-weight: 600; }
svg .grid { stroke: var(--line); stroke-width: 1; }
svg .axis { stroke: var(--soft); stroke-width: 1; }
"""
COLOURS = ("var(--c0)", "var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)")
DASHES = ("", "7 4", "2 4", "10 3 2 3", "4 2")
LETTER_PX = 6.7  # of the 12 px font, about


@dataclass
class Frame:
    """A plot area with linear axes.

    Args:
        width: Of the whole drawing, pixels.
        height: Of the whole drawing, pixels.
        x: Data range across, rising.
        y: Data range upwards, rising.
        margins: Left, top, right, bottom, pixels.
        title: Shown above the plot.
        about: Told to screen readers.
    """

    width: float
    height: float
    x: tuple[float, float]
    y: tuple[float, float]
    margins: tuple[float, float, float, float] = (56, 44, 20, 40)
    title: str = ""
    about: str = ""
    parts: list[str] = field(default_factory=list)

    @property
    def left(self) -> float:
        """Return the plot area's left edge."""
        return self.margins[0]

    @property
    def right(self) -> float:
        """Return the plot area's right edge."""
        return self.width - self.margins[2]

    @property
    def top(self) -> float:
        """Return the plot area's upper edge."""
        return self.margins[1]

    @property
    def bottom(self) -> float:
        """Return the plot area's lower edge."""
        return self.height - self.margins[3]

    def across(self, value: float) -> float:
        """Return where a value lies, in pixels from the left."""
        first, last = self.x
        return self.left + (value - first) / (last - first) * (self.right - self.left)

    def up(self, value: float) -> float:
        """Return where a value lies, in pixels from the top."""
        first, last = self.y
        return self.bottom - (value - first) / (last - first) * (self.bottom - self.top)

    def text(self, x: float, y: float, content: str, *, anchor: str = "start", kind: str = "") -> None:
        """Write text at a place in pixels."""
        of_kind = f' class="{kind}"' if kind else ""
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{of_kind}>{escape(content)}</text>'
        )

    def rule(self, start: tuple[float, float], end: tuple[float, float], kind: str = "grid") -> None:
        """Draw a straight line between places in pixels."""
        (x1, y1), (x2, y2) = start, end
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>')

    def path(self, points: Sequence[tuple[float, float]], style: str, *, closed: bool = False) -> None:
        """Draw a line through places in pixels."""
        if points:
            way = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) + ("Z" if closed else "")
            self.parts.append(f'<path d="{way}" {style}/>')

    def box(self, x: float, y: float, width: float, height: float, style: str) -> None:
        """Draw a rectangle, in pixels."""
        width, height = max(0.0, width), max(0.0, height)
        self.parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" {style}/>'
        )

    def mark(self, series: int, x: float, y: float) -> None:
        """Draw the mark of a series: each has its own shape as well as its own colour."""
        colour, size = COLOURS[series % len(COLOURS)], 4.0
        style = f'fill="var(--paper)" stroke="{colour}" stroke-width="2"'
        shape = series % 4
        if shape == 0:
            self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size}" {style}/>')
        elif shape == 1:
            self.box(x - size, y - size, 2 * size, 2 * size, style)
        else:
            tip = -1 if shape == 2 else 1
            points = [(x, y + tip * 5), (x - 5, y - tip * 4), (x + 5, y - tip * 4)]
            self.path(points, style, closed=True)

    def y_axis(self, label: str, *, percent: bool = False) -> None:
        """Draw horizontal grid lines with their values, and the axis' name above."""
        for value in ticks(*self.y, count=5):
            place = self.up(value)
            self.rule((self.left, place), (self.right, place))
            self.text(self.left - 8, place + 4, _tick(value, percent=percent), anchor="end", kind="soft")
        self.text(self.left - 8, self.top - 8, label, anchor="start", kind="soft")

    def x_axis(self, label: str, marks: Sequence[tuple[float, str]]) -> None:
        """Draw the lower axis with its values, and its name below."""
        self.rule((self.left, self.bottom), (self.right, self.bottom), "axis")
        for value, told in marks:
            place = self.across(value)
            self.rule((place, self.bottom), (place, self.bottom + 4), "axis")
            self.text(place, self.bottom + 18, told, anchor="middle", kind="soft")
        if label:
            middle = (self.left + self.right) / 2
            self.text(middle, self.bottom + 34, label, anchor="middle", kind="soft")

    def render(self, *, standalone: bool = False) -> str:
        """Return the drawing.

        Args:
            standalone: Carry style and background, for use as a file.
        """
        style = f"<style>{STYLE}</style>" if standalone else ""
        paper = (
            f'<rect width="{self.width:.0f}" height="{self.height:.0f}" rx="6" fill="var(--paper)"/>'
            if standalone
            else ""
        )
        heading = (
            f'<text x="{min(self.left - 8, 16):.1f}" y="22" class="title">{escape(self.title)}</text>'
            if self.title
            else ""
        )
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width:.0f} {self.height:.0f}" '
            f'width="{self.width:.0f}" height="{self.height:.0f}" role="img" '
            f'aria-label="{escape(self.about or self.title)}">'
            f"{style}{paper}{heading}{''.join(self.parts)}</svg>"
        )


def ticks(first: float, last: float, *, count: int = 5) -> list[float]:
    """Return about `count` round numbers from `first` to `last`."""
    step = _round_step((last - first) / max(1, count))
    start = math.ceil(first / step - 1e-9)
    stop = math.floor(last / step + 1e-9)
    return [number * step for number in range(start, stop + 1)]


def widen(first: float, last: float, *, share: float = 0.08) -> tuple[float, float]:
    """Return a range with some room at both ends; never empty."""
    room = (last - first) * share or max(abs(first) * 0.1, 0.05)
    return first - room, last + room


def label_width(text: str) -> float:
    """Return how wide a text is drawn, in pixels, about."""
    return LETTER_PX * len(text)


def shorten(text: str, letters: int) -> str:
    """Return the text, cut with an ellipsis where it is longer."""
    return text if len(text) <= letters else text[: letters - 1] + "…"


def _round_step(raw: float) -> float:
    if raw <= 0 or not math.isfinite(raw):
        return 1.0
    power = 10.0 ** math.floor(math.log10(raw))
    return power * next(factor for factor in (1, 2, 2.5, 5, 10) if raw <= factor * power * 1.0001)


def _tick(value: float, *, percent: bool) -> str:
    return f"{100 * value:.4g} %" if percent else f"{value:.6g}"
