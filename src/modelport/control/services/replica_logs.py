"""What replicas of custom code printed, also those that are gone and those that never started."""

from __future__ import annotations

import os
import re
from pathlib import Path

from modelport.domain.planning.replicas import SHOWN_LENGTH
from modelport.domain.resource import Kind
from modelport.stores.records.records import Records
from modelport.wire.replicas import PREFIX

LOGS_MAX = 8
TAIL_BYTES = 16 << 10
DAMAGED = "replace"


class ReplicaLogs:
    """Reads the logs of an endpoint's replicas.

    Args:
        records: Know the endpoints.
        folder: Of all logs.
    """

    def __init__(self, records: Records, folder: Path) -> None:
        self._records = records
        self._folder = folder

    def of(self, endpoint: str) -> str:
        """Return the ends of the newest logs of an endpoint's replicas, the newest last.

        Args:
            endpoint: Its name; one that serves no code has none.

        Raises:
            NotFound: There is no such endpoint.
        """
        with self._records.reading() as tx:
            tx.get(Kind.ENDPOINT, endpoint)
        ours = re.compile(
            rf"{PREFIX}{re.escape(endpoint[:SHOWN_LENGTH])}-[0-9a-f]{{16}}-[0-9]+\.log", re.ASCII
        )
        found = [path for path in self._folder.glob(f"{PREFIX}*.log") if ours.fullmatch(path.name)]
        newest = sorted(found, key=lambda path: path.stat().st_mtime)[-LOGS_MAX:]
        return "".join(f"── {path.stem}\n{_tail(path)}" for path in newest)


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
        text = file.read().decode("utf-8", DAMAGED)
    return text if text.endswith("\n") or not text else f"{text}\n"
