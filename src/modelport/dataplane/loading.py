"""Models into memory and out of it, off the loop, with a mark that outlives a crash.

One model is loaded at a time: for a table that is to serve, for requests that wait, or because there is
room. Beyond the memory there is for models, those idle longest leave it; nobody who waits loses a model.

Before a worker loads a digest for the first time in its process it leaves the durable mark
`marks/{index}-{digest}`, and removes it afterwards, whatever came of it. A worker that finds its own mark
when it starts died of that model, or with it: the model is tried in a process of its own before it is
loaded here again. A worker that ends in order takes its mark back, unless the load seems to hang: it died
of nothing. A process holds a lock on its mark, so that in an upgrade a worker and its successor, who share a
place, do not take each other for dead.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Literal, NamedTuple

import structlog

from modelport.dataplane.batching import Batcher
from modelport.dataplane.costs import Costs
from modelport.dataplane.handles import ModelHandle
from modelport.dataplane.memory import allocated_bytes, give_back
from modelport.dataplane.threads import OneThread
from modelport.domain.errors import ModelportError
from modelport.domain.names import DIGEST
from modelport.durable import crash_point, fsync_folder
from modelport.runtime.model import LoadedModel
from modelport.telemetry import metrics
from modelport.telemetry.slots import MetricSlot

GIVE_BACK_AFTER_S = 1.0
"""Memory of models that left is handed back so much later: the next one to be loaded may want it."""

MODEL_BYTES_MIN = 96 << 10
"""What the smallest model takes besides its graph: an ONNX Runtime session, its signature and codecs."""

HANGING_S = 2.0
"""A load that takes longer may hang: if its worker ends then, the model is tried elsewhere first."""

CRASHED = "it crashed its process while loading"

log = structlog.get_logger()

State = Literal["loading", "ready", "failed"]
Report = Callable[[str, State, str | None], None]
"""Called with digest, state and reason."""

Why = Literal["table", "asked", "room"]
"""A model is loaded because a table is to serve it, because requests wait, or because there is room."""

Loaded = tuple[LoadedModel, Costs, int]
"""A model, what its calls cost, and the bytes it takes."""


class LoadingMarks:
    """The marks of one worker.

    Args:
        folder: `run/marks`.
        index: Which worker.
    """

    def __init__(self, folder: Path, index: int) -> None:
        self._folder = folder
        self._index = index
        self._held: dict[str, tuple[int, float]] = {}  # descriptors, and since when
        self._lock = threading.Lock()  # the thread that loads may be in the middle of it when the worker ends
        self._closed = False

    def exists(self, digest: str) -> bool:
        """Return whether a former process of this worker died while loading it, or this one hangs in it."""
        return digest in self._held or _is_left(self._path(digest))

    def found(self) -> set[str]:
        """Return the digests that a former process of this worker died of, or this one hangs in."""
        prefix = f"{self._index}-"
        names = (path.name.removeprefix(prefix) for path in self._folder.glob(f"{prefix}*"))
        return {name for name in names if DIGEST.fullmatch(name) and self.exists(name)}

    def put(self, digest: str, now: float) -> None:
        """Say that loading begins, at so many monotonic seconds."""
        with self._lock:
            if self._closed:
                raise ModelportError("the worker ends")
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._held[digest] = (_open_locked(self._path(digest)), now)
            fsync_folder(self._folder)
        crash_point("mark.written")

    def remove(self, digest: str) -> None:
        """Say that loading ended, well or not."""
        mark, _ = self._held.pop(digest, (None, 0.0))
        if mark is None:
            self._path(digest).unlink(missing_ok=True)
        else:
            with suppress(BlockingIOError):  # somebody else is loading it just now
                fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._path(digest).unlink(missing_ok=True)
            os.close(mark)
        fsync_folder(self._folder)
        crash_point("mark.removed")

    def close(self, now: float) -> None:
        """Take back the marks of what is being loaded, for this process ends of its own accord.

        That of a load which seems to hang stays.

        Args:
            now: Monotonic seconds.
        """
        with self._lock:
            self._closed = True
            for digest, (_, began) in list(self._held.items()):
                if now - began < HANGING_S:
                    self.remove(digest)

    def _path(self, digest: str) -> Path:
        return self._folder / f"{self._index}-{digest}"


def _open_locked(path: Path) -> int:
    """Return the mark at `path`, with a lock that falls with this process; several may hold it."""
    while True:
        mark = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(mark, fcntl.LOCK_SH)
        if os.fstat(mark).st_nlink:
            os.fsync(mark)
            return mark
        os.close(mark)  # another process removed it just before


def _is_left(path: Path) -> bool:
    """Return whether there is a mark and nobody lives who holds it."""
    try:
        with path.open("rb") as mark:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (FileNotFoundError, BlockingIOError):
        return False
    return True


class Use(NamedTuple):
    """What a model in memory is good for: when it was used last, the bytes it takes, whether nobody waits."""

    at: float
    size: int
    idle: bool


def choose_leavers(uses: Mapping[str, Use], excess: int) -> list[str]:
    """Return the models that leave memory: those idle longest, no more of them than it takes.

    The one used last stays, so that a model larger than all the room there is can serve alone.

    Args:
        uses: Digest to its use, for all models in memory.
        excess: Bytes to free.
    """
    leavers = []
    for digest in sorted(uses, key=lambda each: uses[each].at)[:-1]:
        if excess <= 0:
            break
        if uses[digest].idle:
            leavers.append(digest)
            excess -= uses[digest].size
    return leavers


class Models:
    """The models that tables name, by digest.

    Args:
        load: Loads a model, and measures it unless its costs are known; runs in a thread.
        host: Makes the batcher of a loaded model; runs on the loop.
        marks: This worker's marks.
        slot: Where loads and unloads are counted.
        now: Monotonic seconds.
        timeout_s: Seconds after which a model that is still loading counts as failed.
        bytes_max: Memory for models; idle ones beyond it leave. One that is larger serves alone.
    """

    def __init__(
        self,
        load: Callable[[str, Costs | None], tuple[LoadedModel, Costs]],
        host: Callable[[LoadedModel, Costs], Batcher],
        marks: LoadingMarks,
        slot: MetricSlot,
        *,
        now: Callable[[], float],
        timeout_s: float,
        bytes_max: int,
    ) -> None:
        self._load = load
        self._host = host
        self._marks = marks
        self._slot = slot
        self._now = now
        self._loop = asyncio.get_running_loop()
        self._timeout_s = timeout_s
        self._bytes_max = bytes_max
        self._tried: set[str] = set()
        self._handles: dict[str, ModelHandle] = {}
        self._batchers: dict[str, Batcher] = {}  # of those in memory
        self._bytes = 0
        self._load_s = 0.0  # what loading took lately
        self._asked: dict[str, ModelHandle] = {}  # requests wait for these, in this order
        self._later: deque[ModelHandle] = deque()  # nobody waits for these
        self._turn = asyncio.Lock()  # held by whoever loads
        self._task: asyncio.Task[None] | None = None  # loads what was asked for
        self._giving_back: asyncio.TimerHandle | None = None
        self.on_settled: Callable[[ModelHandle], None] = lambda _: None  # told of each that loaded or failed
        self.is_wanted: Callable[[ModelHandle], bool] = lambda _: (
            True
        )  # asked before one is loaded for requests
        self.on_failed: Callable[[str, str], None] = lambda *_: (
            None
        )  # told when one that worked does not load
        self._thread = OneThread("loading")
        # The first model ever deployed should not pay for this, nor the requests beside it.
        self._thread.submit(import_module, "onnxruntime")

    def __contains__(self, digest: str) -> bool:
        return digest in self._batchers

    @property
    def failures(self) -> dict[str, str]:
        """Return the models that do not work, with the reason."""
        return {
            digest: handle.failure for digest, handle in self._handles.items() if handle.failure is not None
        }

    def find(self, digest: str) -> ModelHandle | None:
        """Return the handle of a model that some table names."""
        return self._handles.get(digest)

    def handle(self, digest: str) -> ModelHandle:
        """Return the handle of a model, in memory or not."""
        found = self._handles.get(digest)
        if found is None:
            found = self._handles[digest] = ModelHandle(digest)
        return found

    async def ensure(self, digests: Iterable[str], report: Report) -> None:
        """Load models that were not known to work, one after the other; those that were may stay on disk.

        Args:
            digests: Which.
            report: Hears of each that is loaded.
        """
        for digest in digests:
            handle = self.handle(digest)
            if handle.due:
                await self._bring(handle, report)

    async def preload(self, digests: Iterable[str], seconds: float) -> None:
        """Load models that are known to work while there is room; return after `seconds` at the latest.

        What is left then is loaded when nobody waits for anything else.
        """
        self._later.extend(self.handle(digest) for digest in digests)
        task = self._work()
        await asyncio.wait({task}, timeout=seconds)

    def wake(self, handle: ModelHandle) -> None:
        """Load a model because requests wait for it; `on_settled` tells when that ended."""
        self._asked[handle.digest] = handle
        self._work()

    def backlog_s(self) -> float:
        """Return the seconds it may take to load all that requests wait for now."""
        return len(self._asked) * self._load_s

    def keep_only(self, digests: Collection[str]) -> None:
        """Forget the models that are not among `digests`."""
        for digest in [digest for digest in self._handles if digest not in digests]:
            self._asked.pop(digest, None)
            if digest in self._batchers:
                self._unload(digest, "unneeded")
            del self._handles[digest]

    def make_room(self) -> None:
        """Unload those idle longest, until the others fit."""
        excess = self._bytes - self._bytes_max
        if excess <= 0:
            return
        uses = {
            digest: Use(batcher.used_at, self._handles[digest].size, batcher.idle)
            for digest, batcher in self._batchers.items()
        }
        for digest in choose_leavers(uses, excess):
            self._unload(digest, "memory")

    def set_gauges(self) -> None:
        """Say how many models are in memory, and how much of it they take."""
        self._slot.series(metrics.MODELS).set(len(self._batchers))
        self._slot.series(metrics.MODEL_MEMORY).set(self._bytes)

    def close(self) -> None:
        """End the thread and let go of all models."""
        if self._task is not None:
            self._task.cancel()
        self.keep_only(frozenset())
        if self._giving_back is not None:
            self._giving_back.cancel()
        self._thread.close()
        self._marks.close(self._now())

    def _work(self) -> asyncio.Task[None]:
        if self._task is None or self._task.done():
            self._task = self._loop.create_task(self._load_what_is_asked_for())
        return self._task

    async def _load_what_is_asked_for(self) -> None:
        while self._asked or self._later:
            if self._asked:
                handle = self._asked.pop(next(iter(self._asked)))
                if self.is_wanted(handle):
                    await self._bring(handle, self._report_failure, why="asked")
            else:
                await self._bring(self._later.popleft(), self._report_failure, why="room")

    def _report_failure(self, digest: str, state: State, reason: str | None) -> None:
        """Tell of failures only: a model that left memory and comes back was ready all the time."""
        if state == "failed":
            self.on_failed(digest, str(reason))

    async def _bring(self, handle: ModelHandle, report: Report, why: Why = "table") -> None:
        async with self._turn:
            needed = self._handles.get(handle.digest) is handle
            if not needed or handle.batcher is not None or (handle.failure is not None and why != "table"):
                return
            report(handle.digest, "loading", None)
            found = await self._outcome(handle.digest, None if why == "table" else handle.costs)
            if self._handles.get(handle.digest) is not handle:  # no table names it any more
                self._give_back_soon()
                return
            if isinstance(found, str):
                self._slot.series(metrics.MODEL_LOADS, "failed").add()
                log.warning("model.failed", digest=handle.digest, reason=found)
                handle.fail(found)
                report(handle.digest, "failed", found)
                self.on_settled(handle)
            else:
                self._place(handle, found, why)
                report(handle.digest, "ready", None)

    def _place(self, handle: ModelHandle, found: Loaded, why: Why) -> None:
        """Put a loaded model where requests find it, and make room for it."""
        model, costs, size = found
        batcher = self._host(model, costs)
        if why != "room":
            batcher.used_at = self._now()
        handle.settle(batcher, costs, size)
        self._batchers[handle.digest] = batcher
        self._bytes += size
        self._slot.series(metrics.MODEL_LOADS, "loaded").add()
        log.info(
            "model.loaded",
            digest=handle.digest,
            why=why,
            bytes=size,
            call_us=round(costs.seconds(1) * 1e6, 1),
            executor=model.executor,
            because=model.why,
        )
        self.on_settled(handle)
        if why == "room" and batcher.idle and self._bytes > self._bytes_max:
            self._unload(handle.digest, "memory")
            self._later.clear()
        self.make_room()

    async def _outcome(self, digest: str, costs: Costs | None) -> Loaded | str:
        """Load a model in the thread; return it, or why it does not load."""
        began = self._now()
        loading = self._thread.submit(self._load_marked, digest, costs)
        try:
            async with asyncio.timeout(self._timeout_s):
                found = await asyncio.wrap_future(loading)
        except TimeoutError:
            self._thread = OneThread("loading")  # the other one is stuck; its mark stays
            return f"it did not load within {self._timeout_s:g} s"
        except ModelportError as error:
            return error.message
        except Exception as error:  # a model may fail in any way; everything else serves
            log.exception("model.failed", digest=digest)
            return f"{type(error).__name__}: {error}"
        taken = self._now() - began
        self._slot.series(metrics.MODEL_LOAD_DURATION).observe(taken)
        self._load_s += 0.2 * (taken - self._load_s)
        return found

    def _load_marked(self, digest: str, costs: Costs | None) -> Loaded:
        if digest in self._tried:
            return self._load_weighed(digest, costs)
        if self._marks.exists(digest):
            raise ModelportError(CRASHED)
        self._marks.put(digest, self._now())
        try:
            return self._load_weighed(digest, costs)
        finally:
            self._tried.add(digest)
            self._marks.remove(digest)

    def _load_weighed(self, digest: str, costs: Costs | None) -> Loaded:
        """Load a model and see how much memory that took; what requests took meanwhile counts with it."""
        before = allocated_bytes()
        model, costs = self._load(digest, costs)
        return model, costs, max(allocated_bytes() - before, model.graph_bytes + MODEL_BYTES_MIN)

    def _unload(self, digest: str, reason: str) -> None:
        handle = self._handles[digest]
        held = [self._batchers.pop(digest)]
        held[0].close()
        handle.leave()
        self._bytes -= handle.size
        self._slot.series(metrics.MODEL_UNLOADS, reason).add()
        log.info("model.unloaded", digest=digest, reason=reason)
        self._thread.submit(held.clear)  # a large one takes a while to fall apart
        self._give_back_soon()

    def _give_back_soon(self) -> None:
        if self._giving_back is None:
            self._giving_back = self._loop.call_later(GIVE_BACK_AFTER_S, self._give_back)

    def _give_back(self) -> None:
        self._giving_back = None
        self._thread.submit(give_back)
