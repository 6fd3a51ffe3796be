"""Logs: events with fields; lines for people on a terminal, JSON for everything else."""

from __future__ import annotations

import sys
from typing import Any, TextIO

import structlog

_TRACEBACKS = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)
"""Without the values of variables, among which are tokens, keys and what clients sent."""

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure_logs(level: str, *, process: str, stream: TextIO | None = None) -> None:
    """Set up structlog for this process.

    Args:
        level: debug, info, warning or error; an unknown word means info.
        process: Which process writes; stands in every line.
        stream: Where to; None is standard error.
    """
    goal = sys.stderr if stream is None else stream
    terminal = goal.isatty()
    last: list[Any] = (
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if terminal
        else [_TRACEBACKS, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS.get(level.lower(), LEVELS["info"])),
        logger_factory=structlog.PrintLoggerFactory(goal),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(process=process)
