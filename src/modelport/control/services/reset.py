"""Emptying a platform, for test suites that start each test from nothing."""

from __future__ import annotations

from collections.abc import Callable

from modelport.domain.errors import Conflict
from modelport.domain.resource import Kind
from modelport.stores.records.metrics import MetricIndex
from modelport.stores.records.records import Records
from modelport.stores.records.tables import EMPTIED

JOBS = (Kind.TRANSFORM_JOB, Kind.PROCESSING_JOB)
EVERYTHING = "everything"


class Reset:
    """Forgets every resource, object and metric; what served ends, and history is kept.

    Args:
        records: Where they are kept.
        wake: Lets the loop look.
    """

    def __init__(self, records: Records, wake: Callable[[], None]) -> None:
        self._records = records
        self._wake = wake

    def everything(self, *, principal: str) -> None:
        """Forget everything. Artifacts go with the next sweep.

        Raises:
            Conflict: A job has not ended: its process would go on working.
        """
        with self._records.transaction(principal=principal) as tx:
            running = [name for kind in JOBS for name in tx.unsettled(kind)]
            if running:
                raise Conflict(f"job {running[0]!r} has not ended", hint="stop it, and wait until it has")
            for table in EMPTIED:
                tx.connection.execute(table.delete())
            MetricIndex(tx).clear()
            tx.event("delete", Kind.ENDPOINT, EVERYTHING, "reset, as MODELPORT_ALLOW_TEST_RESET allows")
        self._wake()
