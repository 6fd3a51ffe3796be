"""Jobs: batch scoring and monitoring, their progress and their results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from modelport.domain.errors import ModelportError
from modelport.sdk.resources import Described
from modelport.sdk.transport import quote
from modelport.sdk.waiting import wait_for
from modelport.wire.jobs import Progress

PATHS = {"TransformJob": "/api/v1/transform-jobs", "ProcessingJob": "/api/v1/processing-jobs"}
_STATUS = {"TransformJob": "transform_job_status", "ProcessingJob": "processing_job_status"}
_OVER = ("Completed", "Failed", "Stopped")


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

    def refresh(self) -> Job:
        """Ask the server again."""
        self.document = self.client.control.ask("GET", self._path)
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
            pause_s: Seconds between two looks.
            timeout_s: Seconds to watch; None for ever.

        Raises:
            TimedOut: The time is over; the job goes on.
        """
        clock = self.client.clock
        started = clock.monotonic()
        while not self.over:
            yield self.progress()
            waited = clock.monotonic() - started
            left = None if timeout_s is None else timeout_s - waited
            if left is not None and left <= 0:
                wait_for(lambda: None, goal=f"job {self.name}", timeout_s=0.0, clock=clock)
            clock.sleep(pause_s if left is None else min(pause_s, left))
            self.refresh()
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

            def over() -> bool | None:
                return True if self.over or self.refresh().over else None

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
