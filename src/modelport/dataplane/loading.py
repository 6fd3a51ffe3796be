"""Models into memory and out of it, off the loop, with a mark that outlives a crash.

Before a worker loads a digest for the first time in its process it leaves the durable mark
`marks/{index}-{digest}`, and removes it afterwards, whatever came of it. A worker that finds its own mark
when it starts died of that model, or with it: the model is tried in a process of its own before it is
loaded here again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Literal

import structlog

from modelport.dataplane.batching import Batcher
from modelport.dataplane.costs import Costs
from modelport.dataplane.threads import OneThread
from modelport.domain.errors import ModelportError
from modelport.domain.names import DIGEST
from modelport.durable import crash_point, fsync_folder, write_durably
from modelport.runtime.model import LoadedModel

CRASHED = "it crashed its process while loading"

log = structlog.get_logger()

State = Literal["loading", "ready", "failed"]
Report = Callable[[str, State, str | None], None]
"""Called with digest, state and reason."""


class LoadingMarks:
    """The marks of one worker.

    Args:
        folder: `run/marks`.
        index: Which worker.
    """

    def __init__(self, folder: Path, index: int) -> None:
        self._folder = folder
        self._index = index

    def exists(self, digest: str) -> bool:
        """Return whether the mark is there."""
        return self._path(digest).exists()

    def found(self) -> set[str]:
        """Return the digests a former process of this worker was loading when it ended."""
        prefix = f"{self._index}-"
        names = (path.name.removeprefix(prefix) for path in self._folder.glob(f"{prefix}*"))
        return {name for name in names if DIGEST.fullmatch(name)}

    def put(self, digest: str) -> None:
        """Say that loading begins."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_durably(self._path(digest), b"")
        crash_point("mark.written")

    def remove(self, digest: str) -> None:
        """Say that loading ended, well or not."""
        self._path(digest).unlink(missing_ok=True)
        fsync_folder(self._folder)
        crash_point("mark.removed")

    def _path(self, digest: str) -> Path:
        return self._folder / f"{self._index}-{digest}"


class Models:
    """The models in memory, by digest.

    Args:
        load: Loads a model and measures it; runs in a thread.
        host: Makes the batcher of a loaded model; runs on the loop.
        marks: This worker's marks.
        timeout_s: Seconds after which a model that is still loading counts as failed.
    """

    def __init__(
        self,
        load: Callable[[str], tuple[LoadedModel, Costs]],
        host: Callable[[LoadedModel, Costs], Batcher],
        marks: LoadingMarks,
        *,
        timeout_s: float,
    ) -> None:
        self._load = load
        self._host = host
        self._marks = marks
        self._tried: set[str] = set()
        self._hosted: dict[str, Batcher] = {}
        self._timeout_s = timeout_s
        self._thread = OneThread("loading")
        # The first model ever deployed should not pay for this, nor the requests beside it.
        self._thread.submit(import_module, "onnxruntime")

    def __contains__(self, digest: str) -> bool:
        return digest in self._hosted

    async def ensure(self, digests: Iterable[str], report: Report) -> dict[str, Batcher | str]:
        """Bring models into memory, one after the other.

        Args:
            digests: Which; those that are there already cost nothing.
            report: Hears of each that is not.

        Returns:
            Per digest its batcher, or the reason why it is not in memory.
        """
        found: dict[str, Batcher | str] = {}
        for digest in digests:
            if digest not in self._hosted:
                reason = await self._bring(digest, report)
                if reason is not None:
                    found[digest] = reason
                    continue
            found[digest] = self._hosted[digest]
        return found

    def keep_only(self, digests: set[str]) -> bool:
        """Unload the models that are not among `digests`; return whether there were any."""
        gone = [digest for digest in self._hosted if digest not in digests]
        for digest in gone:
            self._hosted.pop(digest).close()
            log.info("model.unloaded", digest=digest)
        return bool(gone)

    def close(self) -> None:
        """End the thread and let go of all models."""
        self._thread.close()
        self.keep_only(set())

    async def _bring(self, digest: str, report: Report) -> str | None:
        report(digest, "loading", None)
        loading = self._thread.submit(self._load_marked, digest)
        try:
            async with asyncio.timeout(self._timeout_s):
                model, costs = await asyncio.wrap_future(loading)
        except TimeoutError:
            reason = f"it did not load within {self._timeout_s:g} s"
            self._thread = OneThread("loading")  # the other one is stuck; its mark stays
        except ModelportError as error:
            reason = error.message
        except Exception as error:  # a model may fail in any way; everything else serves
            log.exception("model.failed", digest=digest)
            reason = f"{type(error).__name__}: {error}"
        else:
            self._hosted[digest] = self._host(model, costs)
            log.info(
                "model.loaded",
                digest=digest,
                call_us=round(costs.seconds(1) * 1e6, 1),
                executor=model.executor,
                why=model.why,
            )
            report(digest, "ready", None)
            return None
        log.warning("model.failed", digest=digest, reason=reason)
        report(digest, "failed", reason)
        return reason

    def _load_marked(self, digest: str) -> tuple[LoadedModel, Costs]:
        if digest in self._tried:
            return self._load(digest)
        if self._marks.exists(digest):
            raise ModelportError(CRASHED)
        self._marks.put(digest)
        try:
            return self._load(digest)
        finally:
            self._tried.add(digest)
            self._marks.remove(digest)
