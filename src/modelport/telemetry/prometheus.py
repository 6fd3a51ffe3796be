"""Summed metrics as text.

Source: Prometheus text exposition format 0.0.4.
"""

from __future__ import annotations

from collections.abc import Iterator

from modelport.telemetry.metrics import BUILD_INFO, METRICS, Kind, Metric
from modelport.telemetry.slots import Totals

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def render(totals: Totals, version: str) -> bytes:
    """Return the text Prometheus scrapes.

    Args:
        totals: From `slots.read_totals`.
        version: modelport's own.
    """
    shown = {**totals, (BUILD_INFO, (version,)): [1]}
    lines: list[str] = []
    for name, metric in METRICS.items():
        series = sorted((key[1], values) for key, values in shown.items() if key[0] == name)
        if not series:
            continue
        lines.append(f"# HELP {name} {metric.help}")
        lines.append(f"# TYPE {name} {metric.kind}")
        for labels, values in series:
            lines.extend(_lines(name, metric, labels, values))
    return ("\n".join(lines) + "\n").encode()


def _lines(name: str, metric: Metric, labels: tuple[str, ...], values: list[int]) -> Iterator[str]:
    pairs = [f'{label}="{_escape(value)}"' for label, value in zip(metric.labels, labels, strict=True)]
    if metric.kind is not Kind.HISTOGRAM:
        yield f"{name}{_braces(pairs)} {values[0]}"
        return
    upto = f"{name}_bucket{{{','.join([*pairs, 'le='])}"
    count = 0
    for bound, inside in zip(metric.bounds, values, strict=False):
        count += inside
        yield f'{upto}"{bound:g}"}} {count}'
    count += values[len(metric.bounds)]
    yield f'{upto}"+Inf"}} {count}'
    yield f"{name}_sum{_braces(pairs)} {values[-1] / metric.scale!r}"
    yield f"{name}_count{_braces(pairs)} {count}"


def _braces(pairs: list[str]) -> str:
    return "{" + ",".join(pairs) + "}" if pairs else ""


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
