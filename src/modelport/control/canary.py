"""First loads of models, in processes that may die of them, beside the loop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from modelport.control.engine import Engine
from modelport.domain.planning.endpoint import Trial, TrialState
from modelport.durable import crash_point, fsync_folder

TOGETHER_MAX = 2


class Canaries:
    """Tries each model once in the life of this process.

    A model that passed stays proven until it is forgotten; passing also clears the marks that worker
    processes left when they died while loading it, so that they load it again.

    Args:
        engine: Runs the tries.
        marks: Folder of loading marks.
        wake: Called when a try has ended.
    """

    def __init__(self, engine: Engine, marks: Path, wake: Callable[[], None]) -> None:
        self._engine = engine
        self._marks = marks
        self._wake = wake
        self._lock = threading.Lock()
        self._turns = threading.Semaphore(TOGETHER_MAX)
        self._trials: dict[str, Trial] = {}

    def start(self, digest: str) -> None:
        """Try a model, unless it is being tried or has passed."""
        with self._lock:
            known = self._trials.get(digest)
            if known is not None and known.state is not TrialState.FAILED:
                return
            self._trials[digest] = Trial(TrialState.RUNNING)
        # A thread that may be left behind: a model that hangs must not keep this process from ending.
        threading.Thread(target=self._run, args=(digest,), name=f"canary-{digest[:8]}", daemon=True).start()

    def trials(self) -> Mapping[str, Trial]:
        """Return every model that is being tried or was, and how that stands."""
        with self._lock:
            return dict(self._trials)

    def forget(self, digest: str) -> None:
        """Let a model be tried again; one that is being tried goes on."""
        with self._lock:
            known = self._trials.get(digest)
            if known is not None and known.state is not TrialState.RUNNING:
                del self._trials[digest]

    def _run(self, digest: str) -> None:
        with self._turns:
            try:
                reason = self._engine.try_model(digest)
                if reason is None:
                    self._clear_marks(digest)
            except Exception as error:  # noqa: BLE001 (whatever it is, the endpoint has to say so)
                reason = f"it could not be tried: {error}"
        with self._lock:
            self._trials[digest] = (
                Trial(TrialState.PASSED) if reason is None else Trial(TrialState.FAILED, reason)
            )
        self._wake()

    def _clear_marks(self, digest: str) -> None:
        marks = list(self._marks.glob(f"*-{digest}"))
        for mark in marks:
            mark.unlink(missing_ok=True)
        if marks:
            fsync_folder(self._marks)
            crash_point("canary.marks_cleared")
