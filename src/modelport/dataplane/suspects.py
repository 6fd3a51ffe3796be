"""Requests that may kill a worker: found in the records of dead ones, run alone, and then not at all.

Everything that was in flight at a crash is suspect. A suspect shares its next call with nobody: if it comes
back, it is innocent; if the worker dies again, the culprit is known, and quarantined.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import structlog

from modelport.dataplane.flights import digest_of, read_wrecks
from modelport.domain.clock import Clock
from modelport.durable import write_durably
from modelport.wire.suspects import Suspect, read_suspects, suspect_file

KEPT_S = 86_400.0
KEPT_MAX = 1_024

log = structlog.get_logger()


class Suspects:
    """The suspects of all workers of this home.

    Args:
        folder: `run/suspects`.
        flights: `run/flights`.
        clock: Time.
    """

    def __init__(self, folder: Path, flights: Path, clock: Clock) -> None:
        self._folder = folder
        self._flights = flights
        self._clock = clock
        self._read_at = -1
        self._by_model: dict[str, dict[bytes, Suspect]] = {}
        for each in (folder, flights):
            each.mkdir(parents=True, exist_ok=True, mode=0o700)

    def of(self, model: str) -> ModelSuspects | None:
        """Return the suspects among a model's requests; None where there are none, as nearly always."""
        found = self._by_model.get(model)
        return ModelSuspects(self, found) if found else None

    def look(self) -> None:
        """Learn from the dead, and from what other workers learnt."""
        for on_board in read_wrecks(self._flights):
            self._accuse(on_board.model, on_board.request, alone=on_board.alone)
        changed_at = self._folder.stat().st_mtime_ns
        if changed_at != self._read_at:
            self._read_at = changed_at
            self._read()

    def clear(self, suspect: Suspect) -> None:
        """Forget a suspect."""
        suspect_file(self._folder, suspect.model, suspect.request).unlink(missing_ok=True)
        requests = self._by_model.get(suspect.model, {})
        requests.pop(bytes.fromhex(suspect.request), None)
        if not requests:
            self._by_model.pop(suspect.model, None)

    def _accuse(self, model: str, request: str, *, alone: bool) -> None:
        path = suspect_file(self._folder, model, request)
        try:
            crashes = msgspec.json.decode(path.read_bytes(), type=Suspect).crashes + 1
        except (FileNotFoundError, msgspec.DecodeError):
            crashes = 1
        suspect = Suspect(model, request, crashes, alone and crashes > 1, self._clock.now().timestamp())
        write_durably(path, msgspec.json.encode(suspect))
        log.warning(
            "request.quarantined" if suspect.quarantined else "request.suspect",
            model=model,
            request=request,
            crashes=crashes,
        )

    def _read(self) -> None:
        now = self._clock.now().timestamp()
        suspects = sorted(read_suspects(self._folder), key=lambda one: one.at, reverse=True)
        self._by_model = {}
        for number, suspect in enumerate(suspects):
            if number < KEPT_MAX and now - suspect.at < KEPT_S:
                self._by_model.setdefault(suspect.model, {})[bytes.fromhex(suspect.request)] = suspect
            else:
                suspect_file(self._folder, suspect.model, suspect.request).unlink(missing_ok=True)


class ModelSuspects:
    """The suspects among one model's requests.

    Args:
        suspects: Of all models.
        requests: Digest of the rows to what is known.
    """

    __slots__ = ("_requests", "_suspects")

    def __init__(self, suspects: Suspects, requests: dict[bytes, Suspect]) -> None:
        self._suspects = suspects
        self._requests = requests

    def find(self, data: bytes | memoryview) -> Suspect | None:
        """Return what is known against a request with these rows; None: nothing."""
        return self._requests.get(digest_of(data))

    def clear(self, suspect: Suspect) -> None:
        """Take a suspicion back: the request ran alone and came back."""
        self._suspects.clear(suspect)
