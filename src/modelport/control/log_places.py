"""Where the streams of an endpoint's replicas lie.

`{endpoint}/{variant}/{replica}` in the home's `log-marks` holds the times of a replica's log, and its path
says whose the log is: the log's own name has the endpoint's shortened, and what it says could be anything.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from modelport.control.log_marks import ROTATED
from modelport.domain.names import NAME
from modelport.domain.planning.replicas import SHOWN_LENGTH
from modelport.settings import HomeLayout
from modelport.wire.replicas import PREFIX, ReplicaSpec


class LogPlace(NamedTuple):
    """A log and the file of its marks."""

    log: Path
    marks: Path


def announce_logs(folder: Path, replicas: Iterable[ReplicaSpec]) -> None:
    """Make known whose the logs of some replicas are, before those can write any.

    Args:
        folder: Of all marks.
        replicas: Those that should run.
    """
    for spec in replicas:
        if NAME.fullmatch(spec.endpoint) and NAME.fullmatch(spec.variant):
            marks = folder / spec.endpoint / spec.variant / spec.name
            marks.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            marks.touch(mode=0o600)


def place_of(layout: HomeLayout, spec: ReplicaSpec) -> LogPlace:
    """Return where a replica's log lies."""
    marks = layout.log_marks / spec.endpoint / spec.variant / spec.name
    return LogPlace(layout.logs / f"{PREFIX}{spec.name}.log", marks)


def endpoints_with_logs(layout: HomeLayout) -> list[str]:
    """Return the names of all endpoints whose replicas left logs."""
    with suppress(FileNotFoundError):
        return sorted(
            folder.name
            for folder in layout.log_marks.iterdir()
            if any(place.log.exists() for _, place in _places(layout, folder))
        )
    return []


def replica_streams(layout: HomeLayout, endpoint: str) -> dict[str, LogPlace]:
    """Return the streams of an endpoint's replicas, also of those that are gone, by name.

    Args:
        layout: Of the home.
        endpoint: Its name: one that is known, or that follows SageMaker's pattern.
    """
    found = {}
    for variant, place in _places(layout, layout.log_marks / endpoint):
        if place.log.exists():
            instance = place.marks.name.removeprefix(f"{endpoint[:SHOWN_LENGTH]}-")
            found[f"{variant}/{instance}"] = place
    return found


def forget_logs(layout: HomeLayout, kept: Collection[str]) -> None:
    """Remove the marks of logs that are not there any more.

    Args:
        layout: Of the home.
        kept: File names of logs that will be.
    """
    for marks in layout.log_marks.glob("*/*/*"):
        name = marks.name.removesuffix(ROTATED)
        log = f"{PREFIX}{name}.log"
        if log in kept or any((layout.logs / f"{log}{suffix}").exists() for suffix in ("", ROTATED)):
            continue
        marks.unlink(missing_ok=True)
        for empty in marks.parents[:2]:
            with suppress(OSError):
                empty.rmdir()


def remove_logs(layout: HomeLayout) -> None:
    """Remove the logs of all replicas, with their marks; one that still ends writes where nobody reads."""
    for log in layout.logs.glob(f"{PREFIX}*.log*"):
        log.unlink(missing_ok=True)
    forget_logs(layout, ())


def _places(layout: HomeLayout, folder: Path) -> Iterator[tuple[str, LogPlace]]:
    for marks in folder.glob("*/*"):
        if not marks.name.endswith(ROTATED):
            yield marks.parent.name, LogPlace(layout.logs / f"{PREFIX}{marks.name}.log", marks)
