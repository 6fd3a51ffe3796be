"""Notes how long the logs of replicas and jobs are, so that their lines have times."""

from __future__ import annotations

from modelport.control.log_places import LogPlace, place_of
from modelport.control.services.jobs import JOB_KINDS
from modelport.control.services.logs import Logs, job_place
from modelport.settings import HomeLayout
from modelport.stores.records.records import Records
from modelport.wire.replicas import read_replicas

PERIOD_S = 1.0
"""How exact the time of a line is while much is written; what is followed by a pause has its own."""


class LogWatch:
    """Looks at every log that may grow. One that just ended is looked at by its next reader.

    Args:
        records: Know which jobs run.
        logs: Notes.
        layout: Where the list of replicas, logs and jobs lie.
    """

    def __init__(self, records: Records, logs: Logs, layout: HomeLayout) -> None:
        self._records = records
        self._logs = logs
        self._layout = layout

    def look(self) -> None:
        """Note how long each of them is."""
        for place in self._growing():
            self._logs.note(place)

    def _growing(self) -> list[LogPlace]:
        with self._records.reading() as tx:
            jobs = [name for kind in JOB_KINDS for name in tx.unsettled(kind)]
        replicas = [place_of(self._layout, spec) for spec in read_replicas(self._layout.replicas_file)]
        return [*replicas, *(job_place(self._layout, name) for name in jobs)]
