"""What replicas and jobs wrote, as groups and streams of lines."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import NamedTuple

from modelport.control.log_marks import note_log
from modelport.control.log_places import LogPlace, endpoints_with_logs, replica_streams
from modelport.control.log_stream import LogStream
from modelport.domain.clock import Clock
from modelport.domain.errors import NotFound
from modelport.domain.log_lines import Line
from modelport.domain.names import NAME
from modelport.domain.resource import Kind
from modelport.settings import HomeLayout
from modelport.stores.records.records import Records
from modelport.wire.jobs import LOG_FILE, LOG_MARKS_FILE

ENDPOINTS = "/aws/sagemaker/Endpoints/"
JOBS = {
    "/aws/sagemaker/TransformJobs": Kind.TRANSFORM_JOB,
    "/aws/sagemaker/ProcessingJobs": Kind.PROCESSING_JOB,
}
JOB_STREAM = "algo-1"
"""After a job's name in that of its stream, as in AWS: its first instance, and here its only one."""

REPLY_BYTES_MAX = 1 << 20
LINE_BYTES = 26
"""What a line counts besides its own bytes. Source: CloudWatch Logs, PutLogEvents."""

SCANNED_BYTES_MAX = 8 << 20
"""Of one call that finds little; the next one goes on behind."""


@dataclass(frozen=True, slots=True)
class StreamView:
    """A stream.

    Args:
        name: Of the stream.
        first_at: When its oldest line was written, in milliseconds since 1970; None: it has none.
        last_at: When it was last written to.
        stored_bytes: Bytes that are kept.
    """

    name: str
    first_at: int | None
    last_at: int | None
    stored_bytes: int


@dataclass(frozen=True, slots=True)
class LogPage:
    """Lines of one stream.

    Args:
        lines: The oldest first.
        begin: Position before them.
        end: Position after them.
    """

    lines: list[Line]
    begin: int
    end: int


class Found(NamedTuple):
    """A line and its stream, in the order of a search."""

    at: int
    stream: str
    line: Line


class After(NamedTuple):
    """Where a search goes on: behind a place in a stream, and what comes after that in all others."""

    at: int
    stream: str
    end: int


class Logs:
    """Groups of streams: one of each endpoint, one of each kind of job.

    Args:
        records: Know endpoints and jobs.
        layout: Where logs lie.
        clock: Time.
    """

    def __init__(self, records: Records, layout: HomeLayout, clock: Clock) -> None:
        self._records = records
        self._layout = layout
        self._clock = clock
        self._noting = threading.Lock()

    def note(self, place: LogPlace) -> None:
        """Note how long a log is now; what cannot be noted is not read yet."""
        with self._noting, suppress(OSError):
            note_log(place.log, place.marks, self._now_ms())

    def groups(self) -> list[str]:
        """Return the names of all groups, in their order."""
        with self._records.reading() as tx:
            endpoints = {*tx.names(Kind.ENDPOINT), *endpoints_with_logs(self._layout)}
        return sorted([*JOBS, *(f"{ENDPOINTS}{name}" for name in endpoints)])

    def streams(self, group: str, prefix: str = "") -> list[StreamView]:
        """Return the streams of a group whose names begin with a prefix, by name.

        Raises:
            NotFound: There is no such group.
        """
        found = []
        for name, place in sorted(self._places(group).items()):
            if name.startswith(prefix):
                with self._open(place) as stream:
                    found.append(StreamView(name, stream.first_at, stream.last_at, stream.stored_bytes))
        return found

    def read(
        self,
        group: str,
        stream: str,
        *,
        position: int | None,
        forward: bool,
        since: int | None = None,
        until: int | None = None,
        limit: int,
    ) -> LogPage:
        """Return lines of a stream.

        Args:
            group: Of the stream.
            stream: Its name.
            position: Where to go on; None: at the end one comes from.
            forward: Towards newer lines, else older ones.
            since: None older than this; milliseconds since 1970.
            until: Only older ones than this.
            limit: Of lines; a reply has 1 MB at most, too.

        Raises:
            NotFound: There is no such group or stream.
        """
        with self._open(_known(self._places(group), group, [stream])[stream]) as opened:
            low = opened.start if since is None else opened.since(since)
            high = opened.end if until is None else opened.since(until)
            at = (low if forward else high) if position is None else min(position, opened.end)
            if forward:
                taken, last = _take(opened.lines(max(at, low), high), limit)
                return LogPage(taken, taken[0].start if taken else at, at if last is None else last.end)
            taken, last = _take(opened.lines_back(low, min(at, high)), limit)
            if last is None:
                return LogPage([], at, at)
            return LogPage(taken[::-1], last.start, min(at, high))

    def search(
        self,
        group: str,
        *,
        names: Iterable[str] | None,
        prefix: str = "",
        since: int | None = None,
        until: int | None = None,
        wanted: Callable[[str], bool],
        after: After | None = None,
        limit: int,
    ) -> tuple[list[Found], After | None]:
        """Return lines of several streams, by time, and where to go on; None: that is all there is.

        Args:
            group: Of the streams.
            names: Of the streams; None: those with the prefix.
            prefix: Of the names.
            since: None older than this; milliseconds since 1970.
            until: Only older ones than this.
            wanted: Says of a line's text whether it is.
            after: From the call before.
            limit: Of lines.

        Raises:
            NotFound: There is no such group or stream.
        """
        places = self._places(group)
        chosen = _known(places, group, names) if names is not None else places
        with ExitStack() as stack:
            found = [
                _found(name, stack.enter_context(self._open(place)), since, until, after)
                for name, place in sorted(chosen.items())
                if name.startswith(prefix)
            ]
            return _gather(heapq.merge(*found, key=lambda one: (one.at, one.stream)), wanted, limit)

    def _open(self, place: LogPlace) -> LogStream:
        self.note(place)
        with self._noting:  # not while marks are put aside
            return LogStream(place.log, place.marks, self._now_ms())

    def _places(self, group: str) -> dict[str, LogPlace]:
        if group in JOBS:
            with self._records.reading() as tx:
                places = {
                    f"{name}/{JOB_STREAM}": job_place(self._layout, name) for name in tx.names(JOBS[group])
                }
            return {name: place for name, place in places.items() if place.log.exists()}
        name = group.removeprefix(ENDPOINTS)
        if group.startswith(ENDPOINTS) and NAME.fullmatch(name):
            found = replica_streams(self._layout, name)
            with self._records.reading() as tx:
                if found or tx.find(Kind.ENDPOINT, name) is not None:
                    return found
        raise NotFound(
            f"The specified log group does not exist: {group[:80]!r}",
            hint=f"groups are {ENDPOINTS}NAME, {', '.join(JOBS)}",
        )

    def _now_ms(self) -> int:
        return int(self._clock.now().timestamp() * 1000)


def job_place(layout: HomeLayout, name: str) -> LogPlace:
    """Return where a job's log lies.

    Args:
        layout: Of the home.
        name: Of a job that is known.
    """
    folder = layout.jobs / name
    return LogPlace(folder / LOG_FILE, folder / LOG_MARKS_FILE)


def _known(places: Mapping[str, LogPlace], group: str, names: Iterable[str]) -> dict[str, LogPlace]:
    wanted = list(names)
    for name in wanted:
        if name not in places:
            raise NotFound(
                f"The specified log stream does not exist: {name[:80]!r} in {group}",
                hint="DescribeLogStreams lists those there are",
            )
    return {name: places[name] for name in wanted}


def _take(lines: Iterable[Line], limit: int) -> tuple[list[Line], Line | None]:
    """Return lines until a reply is full, the empty ones left out; and the last one that was looked at."""
    taken: list[Line] = []
    last = None
    room, scanned = REPLY_BYTES_MAX, 0
    for line in lines:
        size = _size(line)
        if len(taken) == limit or size > room or scanned >= SCANNED_BYTES_MAX:
            break
        last = line
        scanned += line.end - line.start
        if line.text:
            taken.append(line)
            room -= size
    return taken, last


def _size(line: Line) -> int:
    return len(line.text.encode("utf-8")) + LINE_BYTES


def _found(
    name: str, stream: LogStream, since: int | None, until: int | None, after: After | None
) -> Iterator[Found]:
    begin = stream.start if since is None else stream.since(since)
    end = stream.end if until is None else stream.since(until)
    if after is not None and name == after.stream:
        begin = max(begin, after.end)
    elif after is not None:  # of the same moment: only what comes after that stream
        begin = max(begin, stream.since(after.at + (name < after.stream)))
    for line in stream.lines(begin, end):
        yield Found(line.at, name, line)


def _gather(
    lines: Iterable[Found], wanted: Callable[[str], bool], limit: int
) -> tuple[list[Found], After | None]:
    """Return the lines wanted until a reply is full, and the place behind the last one looked at."""
    taken: list[Found] = []
    room, scanned = REPLY_BYTES_MAX, 0
    last: After | None = None
    for one in lines:
        size = _size(one.line)
        if len(taken) == limit or size > room or scanned >= SCANNED_BYTES_MAX:
            return taken, last
        last = After(one.at, one.stream, one.line.end)
        scanned += one.line.end - one.line.start
        if one.line.text and wanted(one.line.text):
            taken.append(one)
            room -= size
    return taken, None
