"""Jobs: batch scoring and monitoring, their progress and their results."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from modelport.domain.clock import Clock
from modelport.domain.errors import InvalidInput, ModelportError
from modelport.domain.names import NAME_LENGTH_MAX, VersionReference, check_name, parse_version
from modelport.sdk.resources import Described
from modelport.sdk.transport import quote
from modelport.sdk.waiting import rest, wait_for
from modelport.wire.jobs import Progress

if TYPE_CHECKING:
    from modelport.sdk.client import Client

PATHS = {"TransformJob": "/api/v1/transform-jobs", "ProcessingJob": "/api/v1/processing-jobs"}
_STATUS = {"TransformJob": "transform_job_status", "ProcessingJob": "processing_job_status"}
_OVER = ("Completed", "Failed", "Stopped")

REPORT_TEXT, REPORT_PAGE = "report.txt", "report.html"
MEDIA_TYPES = {
    "parquet": "application/vnd.apache.parquet",
    "csv": "text/csv",
    "jsonl": "application/jsonlines",
}


class Job(Described):
    """Finite work that goes on without this process."""

    @property
    def kind(self) -> str:
        """Return TransformJob or ProcessingJob."""
        return str(self.document["kind"])

    @property
    def status(self) -> str:
        """Return InProgress, Stopping, Completed, Failed or Stopped, as last heard."""
        return str(self.status_document.get(_STATUS[self.kind], "InProgress"))

    @property
    def over(self) -> bool:
        """Return whether it had ended, as last heard."""
        return self.status in _OVER

    @property
    def failure_reason(self) -> str | None:
        """Return why it failed; None otherwise."""
        return self.status_document.get("failure_reason")

    @property
    def detail(self) -> dict[str, Any]:
        """Return what the job says of its result."""
        return dict(self.notes.get("detail") or {})

    @property
    def message(self) -> str | None:
        """Return a processing job's conclusion in plain words, None before there is one."""
        return self.status_document.get("exit_message")

    @property
    def text(self) -> str:
        """Return a monitor's report in plain words; empty before there is one."""
        if REPORT_TEXT not in self.detail.get("reports", ()):
            return self.message or ""
        return self.read_report(REPORT_TEXT).decode()

    @property
    def report(self) -> str | None:
        """Return the URL of a monitor's HTML report, with plots; None before there is one."""
        if REPORT_PAGE not in self.detail.get("reports", ()):
            return None
        return f"{self.client.url}{self._path}/reports/{REPORT_PAGE}"

    def read_report(self, name: str = "report.html") -> bytes:
        """Return one of a monitor's reports.

        Args:
            name: One of `detail["reports"]`.

        Raises:
            NotFound: There is none of that name, or the job has not ended.
        """
        return self.client.control.send("GET", f"{self._path}/reports/{quote(name)}").content

    def refresh(self, *, wait_s: float = 0.0) -> Job:
        """Ask the server again.

        Args:
            wait_s: Seconds to wait, at most, for the job to end.
        """
        self.document = self.client.control.ask("GET", self._path, params={"wait_s": wait_s or None})
        return self

    def progress(self) -> Progress:
        """Return how far it is."""
        return msgspec.convert(self.client.control.ask("GET", f"{self._path}/progress"), Progress)

    def log(self) -> str:
        """Return what it wrote to its log."""
        return self.client.control.send("GET", f"{self._path}/log").text

    def stop(self) -> Job:
        """Ask it to stop. What it has finished stays."""
        self.document = self.client.control.ask("POST", f"{self._path}/stop", {})
        return self

    def watch(self, *, pause_s: float = 0.25, timeout_s: float | None = None) -> Iterator[Progress]:
        """Yield the progress until the job is over.

        Args:
            pause_s: Seconds between two looks; the job's end is told at once.
            timeout_s: Seconds to watch; None for ever.

        Raises:
            TimedOut: The time is over; the job goes on.
        """
        clock = self.client.clock
        started = clock.monotonic()
        while not self.over:
            yield self.progress()
            looked_at = clock.monotonic()
            left = None if timeout_s is None else timeout_s - (looked_at - started)
            if left is not None and left <= 0:
                wait_for(lambda _: None, goal=f"job {self.name}", timeout_s=0.0, clock=clock)
            pause = pause_s if left is None else min(pause_s, left)
            if not self.refresh(wait_s=pause).over:
                rest(pause, looked_at, clock)
        yield self.progress()

    def wait(
        self, *, timeout_s: float | None = None, on_progress: Callable[[Progress], None] | None = None
    ) -> Job:
        """Wait until it is over.

        Args:
            timeout_s: Seconds to wait; None for ever.
            on_progress: Called now and then with the progress.

        Raises:
            ModelportError: It failed or was stopped; the message is its failure reason.
            TimedOut: The time is over; the job goes on.
        """
        if on_progress is None:

            def over(patience_s: float) -> bool | None:
                return True if self.over or self.refresh(wait_s=patience_s).over else None

            wait_for(over, goal=f"job {self.name}", timeout_s=timeout_s, clock=self.client.clock)
        else:
            for progress in self.watch(timeout_s=timeout_s):
                on_progress(progress)
        if self.status == "Failed":
            raise ModelportError(
                f"job {self.name} failed: {self.failure_reason or 'no reason is on record'}",
                hint=f"see `modelport logs {self.name}`",
            )
        if self.status == "Stopped":
            raise ModelportError(
                f"job {self.name} was stopped", hint="start it again; finished parts are kept"
            )
        return self

    @property
    def _path(self) -> str:
        return f"{PATHS[self.kind]}/{quote(self.name)}"


def start_batch(  # noqa: PLR0913 - those of `Client.batch`
    client: Client,
    version: str,
    source: str | Path,
    output: str | Path,
    *,
    join: bool,
    failed_rows_max: int,
    input_format: str | None,
    output_format: str | None,
    name: str | None,
) -> Job:
    """Ask for a batch job; arguments as for `Client.batch`."""
    reference = parse_version(version)
    where = {"data_source": {"s3_data_source": {"s3_uri": absolute(source)}}}
    wish = {
        "transform_job_name": check_name(name or fresh_name(reference, client.clock), what="job"),
        "model_name": str(reference),
        "transform_input": {**where, "content_type": _media_type(input_format)},
        "transform_output": {"s3_output_path": absolute(output), "accept": _media_type(output_format)},
        "data_processing": {"join_source": "Input" if join else "None"},
        "failed_rows_max": failed_rows_max,
    }
    return Job(client, client.control.ask("POST", PATHS["TransformJob"], wish))


def start_monitor(
    client: Client, endpoint: str, since: str | datetime | None, until: str | datetime | None
) -> Job:
    """Ask for a monitoring job; arguments as for `Client.monitor`."""
    wish = {
        "endpoint": check_name(endpoint, what="endpoint"),
        "since": _moment(since, "since"),
        "until": _moment(until, "until"),
    }
    return Job(client, client.control.ask("POST", PATHS["ProcessingJob"], wish))


def _moment(given: str | datetime | None, name: str) -> str | None:
    """Return a time as RFC 3339 writes it."""
    if given is None:
        return None
    try:
        moment = given if isinstance(given, datetime) else datetime.fromisoformat(given)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InvalidInput(
            f"{name} is {str(given)!r}, expected a time with a zone", hint="write 2013-07-01T00:00:00Z"
        )
    return given if isinstance(given, str) else moment.isoformat()


def absolute(place: str | Path) -> str:
    """Return a place as a server on this machine finds it: URLs as they are, paths from the root."""
    text = str(place)
    if "://" in text:
        return text
    path = str(Path(text).expanduser().absolute())
    return path + "/" if text.endswith("/") else path


def fresh_name(reference: VersionReference, clock: Clock) -> str:
    """Return a job name that nobody has: the version, the time, and four random characters."""
    version = str(reference).replace(":", "-").replace("@", "-")
    suffix = f"-{clock.now():%Y%m%d-%H%M%S}-{os.urandom(2).hex()}"
    return version[: NAME_LENGTH_MAX - len(suffix)].rstrip("-") + suffix


def _media_type(name: str | None) -> str | None:
    if name is None:
        return None
    if name not in MEDIA_TYPES:
        raise InvalidInput(f"format {name!r} is not known", hint=f"one of: {', '.join(MEDIA_TYPES)}")
    return MEDIA_TYPES[name]
