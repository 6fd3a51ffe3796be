"""A monitoring report as one HTML file: words first, a picture for each question, its table behind it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from modelport.evaluation.metrics import METRICS
from modelport.reports.charts import draw_drift, draw_quality, draw_reliability, draw_shape
from modelport.reports.content import Comparison, MonitorReport, VariantReport
from modelport.reports.svg import STYLE
from modelport.reports.wording import count, number, percent, show, size

SHAPES_SHOWN = 6
PAGE_STYLE = """
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "Liberation Sans", sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .75rem; padding-top: .75rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.5rem 0 .5rem; }
p.when { color: var(--soft); margin: 0 0 1.25rem; }
.found { background: var(--faint); border-left: 4px solid var(--soft);
  padding: .75rem 1rem; border-radius: 4px; }
.found.amiss { border-left-color: var(--alarm); }
.found ul { margin: .25rem 0 0; padding-left: 1.2rem; }
figure { margin: 1rem 0; }
figure svg { max-width: 100%; height: auto; }
.several { display: grid; grid-template-columns: repeat(auto-fill, minmax(21rem, 1fr)); gap: .5rem 1rem; }
.several figure { margin: 0; }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem; }
caption { text-align: left; color: var(--soft); padding-bottom: .25rem; }
th, td { text-align: left; padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
th { font-weight: 600; }
td.number, th.number { text-align: right; white-space: nowrap; }
details { margin: .25rem 0 1rem; }
summary { cursor: pointer; color: var(--soft); }
summary:focus-visible { outline: 2px solid var(--c0); outline-offset: 2px; }
footer { margin-top: 3rem; color: var(--soft); font-size: .9rem; }
"""
DASH = "\N{EN DASH}"
Cell = str | tuple[str, str]
"""Text, or text and the class of its cell."""


def write_page(report: MonitorReport) -> str:
    """Return the report as HTML that needs nothing from elsewhere."""
    title = f"Monitoring report: {report.endpoint}"
    body = "".join(
        [
            f"<h1>{escape(title)}</h1>",
            _when(report),
            _findings(report),
            _variants(report),
            _quality(report),
            _comparisons(report),
            _reliability(report),
            *(_drift(variant) for variant in report.variants),
            _left_out(report),
            f"<footer>Made by modelport at {report.made_at:%Y-%m-%d %H:%M:%S} UTC.</footer>",
        ]
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title><style>{STYLE}{PAGE_STYLE}</style></head>"
        f"<body><main>{body}</main></body></html>\n"
    )


def _when(report: MonitorReport) -> str:
    if report.since is None or report.until is None:
        return ""
    same_day = report.since.date() == report.until.date()
    until = f"{report.until:%H:%M:%S}" if same_day else f"{report.until:%Y-%m-%d %H:%M:%S}"
    return f'<p class="when">Traffic of {report.since:%Y-%m-%d %H:%M:%S} to {until} UTC</p>'


def _findings(report: MonitorReport) -> str:
    amiss = len(report.violations)
    heading = f"{count(amiss, 'finding')} to look into" if amiss else "Nothing to look into"
    lines = "".join(f"<li>{escape(sentence)}</li>" for sentence in report.sentences)
    kind = "found amiss" if amiss else "found"
    return f'<section class="{kind}"><strong>{heading}</strong><ul>{lines}</ul></section>'


def _variants(report: MonitorReport) -> str:
    """Return one column for each variant, one row for each number."""
    variants = report.variants
    rows: list[list[Cell]] = [
        ["version", *((one.model_version, "number") for one in variants)],
        ["requests", *((f"{one.requests:,}", "number") for one in variants)],
        ["rows", *((f"{one.rows:,}", "number") for one in variants)],
        ["with a label", *((percent(one.coverage), "number") for one in variants)],
    ]
    rows += [
        [
            f"{METRICS[name].title} ({METRICS[name].better} is better)",
            *((show(one.quality[name]) if name in one.quality else DASH, "number") for one in variants),
        ]
        for name in METRICS
        if any(name in one.quality for one in variants)
    ]
    head: list[Cell] = ["", *((one.name, "number") for one in variants)]
    return "<h2>Variants</h2>" + _table(head, rows, "Metrics with their 95 % intervals")


def _quality(report: MonitorReport) -> str:
    metric = report.metric
    if metric is None:
        return (
            "<h2>Quality over time</h2><p>No labels came in yet: send them with "
            f"<code>modelport feedback {escape(report.endpoint)} FILE</code>.</p>"
        )
    drawing = draw_quality(report.variants, metric)
    rows: list[list[Cell]] = [
        [
            variant.name,
            f"{bucket.start:%Y-%m-%d %H:%M:%S}",
            (f"{bucket.rows:,}", "number"),
            (show(bucket.quality[metric]) if metric in bucket.quality else "too few rows", "number"),
        ]
        for variant in report.variants
        for bucket in variant.buckets
    ]
    head: list[Cell] = [
        "variant",
        "from (UTC)",
        ("labelled rows", "number"),
        (METRICS[metric].title, "number"),
    ]
    return "<h2>Quality over time</h2>" + _figure(drawing) + _behind(_table(head, rows))


def _comparisons(report: MonitorReport) -> str:
    return "".join(_comparison(comparison) for comparison in report.comparisons)


def _comparison(comparison: Comparison) -> str:
    rows: list[list[Cell]] = []
    for name, difference in comparison.differences.items():
        better = difference.sign * (1 if METRICS[name].better == "higher" else -1)
        verdict = ("no sure difference", "surely better", "surely worse")[better]
        rows.append(
            [
                METRICS[name].title,
                (f"{difference.value:+.4f}", "number"),
                (f"{difference.lower:+.4f} to {difference.upper:+.4f}", "number"),
                verdict,
            ]
        )
    head: list[Cell] = ["metric", ("difference", "number"), ("95 % interval", "number"), "verdict"]
    names = f"{escape(comparison.variant)} minus {escape(comparison.reference)}"
    return f"<h2>{names}</h2>" + _table(head, rows)


def _reliability(report: MonitorReport) -> str:
    drawing = draw_reliability(report.variants)
    if drawing is None:
        return ""
    rows: list[list[Cell]] = [
        [
            variant.name,
            (percent(one.predicted), "number"),
            (percent(one.observed.value), "number"),
            (f"{percent(one.observed.lower)} to {percent(one.observed.upper)}", "number"),
            (f"{one.observed.rows:,}", "number"),
        ]
        for variant in report.variants
        for one in variant.reliability
    ]
    head: list[Cell] = [
        "variant",
        ("predicted", "number"),
        ("happened", "number"),
        ("95 % interval", "number"),
        ("rows", "number"),
    ]
    return "<h2>Calibration</h2>" + _figure(drawing) + _behind(_table(head, rows))


def _drift(variant: VariantReport) -> str:
    columns = [*variant.answers, *variant.features]
    heading = f"<h2>Drift of {escape(variant.name)} from its training data</h2>"
    if not columns:
        return ""
    drawing = draw_drift(columns, title=f"{variant.name} ({variant.model_version})")
    ordered = sorted(columns, key=size, reverse=True)
    rows: list[list[Cell]] = [
        [
            drift.name,
            drift.sentence,
            (_or_dash(drift.psi), "number"),
            (_or_dash(drift.wasserstein), "number"),
            (_or_dash(drift.jensen_shannon), "number"),
            (f"{percent(drift.baseline_missing)} → {percent(drift.missing)}", "number"),
        ]
        for drift in ordered
    ]
    head: list[Cell] = [
        "column",
        "what happened",
        ("PSI", "number"),
        ("Wasserstein (SD)", "number"),
        ("Jensen-Shannon", "number"),
        ("missing", "number"),
    ]
    moved = [drift for drift in ordered if drift.effect.alarming][:SHAPES_SHOWN]
    shapes = "".join(_figure(draw_shape(drift)) for drift in moved)
    several = f'<h3>What moved most</h3><div class="several">{shapes}</div>' if shapes else ""
    if drawing is None:
        return heading + f"<p>{escape(columns[0].sentence)}.</p>"
    return heading + _figure(drawing) + _behind(_table(head, rows)) + several


def _left_out(report: MonitorReport) -> str:
    rows: list[list[Cell]] = [
        ["", what, (f"{times:,}", "number")] for what, times in sorted(report.notes.items())
    ]
    rows += [
        [variant.name, what, (f"{times:,}", "number")]
        for variant in report.variants
        for what, times in sorted(variant.notes.items())
    ]
    labels = (
        f"<p>{count(report.labels_received, 'label')} received, {report.labels_doubled:,} of them for rows "
        f"that had one already, {report.labels_unmatched:,} for rows outside the captured traffic.</p>"
        if report.labels_received
        else ""
    )
    if not rows:
        return f"<h2>Labels</h2>{labels}" if labels else ""
    head: list[Cell] = ["variant", "left out", ("times", "number")]
    return f"<h2>Labels and what was left out</h2>{labels}" + _table(head, rows)


def _figure(drawing: str | None) -> str:
    return f"<figure>{drawing}</figure>" if drawing else ""


def _behind(table: str) -> str:
    return f"<details><summary>The numbers as a table</summary>{table}</details>"


def _table(head: Sequence[Cell], rows: Iterable[Sequence[Cell]], caption: str = "") -> str:
    told = f"<caption>{escape(caption)}</caption>" if caption else ""
    lines = "".join(f"<tr>{''.join(_cell(cell, 'td') for cell in row)}</tr>" for row in rows)
    heads = "".join(_cell(cell, "th") for cell in head)
    return (
        f'<div class="table"><table>{told}<thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table></div>'
    )


def _cell(cell: Cell, tag: str) -> str:
    text, kind = (cell, "") if isinstance(cell, str) else cell
    of_kind = f' class="{kind}"' if kind else ""
    scope = ' scope="col"' if tag == "th" else ""
    return f"<{tag}{scope}{of_kind}>{escape(text)}</{tag}>"


def _or_dash(value: float | None) -> str:
    return DASH if value is None else number(value)
