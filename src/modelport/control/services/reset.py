"""Emptying a platform, for test suites that start each test from nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from modelport.control.log_places import remove_logs
from modelport.control.services.jobs import JOB_KINDS
from modelport.domain.errors import Conflict
from modelport.domain.resource import Kind
from modelport.settings import HomeLayout
from modelport.stores.records.metrics import MetricIndex
from modelport.stores.records.records import Records
from modelport.stores.records.tables import EMPTIED

EVERYTHING = "everything"


class Reset:
    """Forgets every resource, object and metric, and what jobs and replicas wrote; what served ends.

    History is kept, and so are the logs of the platform's own processes.

    Args:
        records: Where they are kept.
        layout: Where logs and the folders of jobs lie.
        wake: Lets the loop look.
    """

    def __init__(self, records: Records, layout: HomeLayout, wake: Callable[[], None]) -> None:
        self._records = records
        self._layout = layout
        self._wake = wake

    def everything(self, *, principal: str) -> None:
        """Forget everything. Artifacts go with the next sweep.

        Raises:
            Conflict: A job has not ended: its process would go on working.
        """
        with self._records.transaction(principal=principal) as tx:
            running = [name for kind in JOB_KINDS for name in tx.unsettled(kind)]
            if running:
                raise Conflict(f"job {running[0]!r} has not ended", hint="stop it, and wait until it has")
            # Inside the transaction, so that no job of one of these names can be made before its folder is
            # gone: it would have ended as the one before.
            for name in (name for kind in JOB_KINDS for name in tx.names(kind)):
                shutil.rmtree(self._layout.jobs / name, ignore_errors=True)
            remove_logs(self._layout)
            for table in EMPTIED:
                tx.connection.execute(table.delete())
            MetricIndex(tx).clear()
            tx.event("delete", Kind.ENDPOINT, EVERYTHING, "reset, as MODELPORT_ALLOW_TEST_RESET allows")
        self._wake()
