"""One picture of a report as a file of its own, for a README or a chat."""

from __future__ import annotations

from modelport.reports.charts import draw_drift, draw_quality
from modelport.reports.content import MonitorReport


def draw_picture(report: MonitorReport) -> str | None:
    """Return the report's most telling picture as standalone SVG, for light and dark pages.

    Quality over time where labels came in, otherwise the drift of the variant with the most traffic.

    Args:
        report: What was found.

    Returns:
        SVG text, or None when there is too little of both.
    """
    if report.metric is not None:
        drawing = draw_quality(report.variants, report.metric, standalone=True)
        if drawing is not None:
            return drawing
    if not report.variants:
        return None
    first = report.variants[0]
    title = f"Drift of {first.name} ({first.model_version}) from its training data"
    return draw_drift([*first.answers, *first.features], title=title, standalone=True)
