"""Batch scoring: files in, the same files with answers out.

The main thread decides (`plan`), starts one scoring thread per core (`scoring`), and puts finished shards
(`shards`) together in order (`writing`), one target after the other. Memory does not grow with the input:
a thread holds one piece, the main thread one row group.

Where answers go: an output with an extension is exactly that file, made of all inputs in order; otherwise
it is a folder with one file per input, then `_manifest.json`, and `_SUCCESS` last. A file appears whole or
not at all. Rows that fail are left out and told in `NAME.failed.jsonl` beside it.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from modelport.domain.clock import Clock
from modelport.domain.errors import CheckFailed, ModelportError
from modelport.domain.signature import Signature
from modelport.durable import crash_point, write_durably
from modelport.jobs.failures import FailedRows, failed_rows_url
from modelport.jobs.partial import PartialFile
from modelport.jobs.places import is_remote, local_path, upload, write_remote
from modelport.jobs.plan import Plan, Target, settle_plan
from modelport.jobs.progress import ProgressFile
from modelport.jobs.shards import Meta, Published, Shards, remove_shards
from modelport.jobs.stopping import Flag, StopRequest
from modelport.runtime.model import LoadedModel
from modelport.stores.artifacts.local import LocalArtifacts
from modelport.wire.jobs import STOP_FILE, JobResult, Progress, TransformWork
from modelport.wire.manifest import SIGNATURE, decode_manifest
from modelport.wire.signature import decode_signature

if TYPE_CHECKING:
    from modelport.jobs.board import Board
    from modelport.jobs.tally import Tally
    from modelport.jobs.writing import Assembly

MEMORY_BYTES = 64 << 20
LOOK_EVERY_S = 0.25
MANIFEST, SUCCESS = "_manifest.json", "_SUCCESS"


def run(
    work: TransformWork,
    folder: Path,
    artifacts: LocalArtifacts,
    clock: Clock,
    *,
    stop: Flag | None = None,
    memory_bytes: int = MEMORY_BYTES,
    threads: int | None = None,
    kernels: Path | None = None,
) -> JobResult:
    """Score what the work names; go on where an earlier run of the same folder was cut off.

    Args:
        work: What to do.
        folder: The job's folder; keeps the plan and the finished shards.
        artifacts: Where the model is.
        clock: Source of time.
        stop: Set on SIGTERM.
        memory_bytes: What rows in flight may take, about.
        threads: Scoring threads; None: one for each core this process may use.
        kernels: Folder of compiled kernels; None: ONNX Runtime executes the model.

    Returns:
        Completed; Failed with the reason; or Stopped when it was asked to (the folder can be run again).
    """
    job = _Transform(work, folder, artifacts, clock, StopRequest(folder, clock, stop))
    try:
        return job.run(memory_bytes, threads or _cores(), kernels)
    except _StopAsked:
        result = job.result("Stopped")
    except ModelportError as error:
        result = job.result(
            "Failed", error.message if error.hint is None else f"{error.message}; {error.hint}"
        )
    except OSError as error:
        result = job.result("Failed", f"cannot read or write: {error}")
    if result.status == "Failed" or (folder / STOP_FILE).exists():
        remove_shards(folder)  # nobody will go on with them
    return result


class _StopAsked(Exception):
    """The job was asked to stop; what is finished stays."""


class _Transform:
    def __init__(
        self,
        work: TransformWork,
        folder: Path,
        artifacts: LocalArtifacts,
        clock: Clock,
        stop: StopRequest,
    ) -> None:
        self._work = work
        self._folder = folder
        self._artifacts = artifacts
        self._clock = clock
        self._stop = stop
        self._file = ProgressFile(folder, clock)
        self._started_at = clock.monotonic()
        self._tally: Tally | None = None
        self._failed = 0

    def run(self, memory_bytes: int, count: int, kernels: Path | None) -> JobResult:
        loading = _Loading(self._artifacts, self._work.digest, kernels)
        signature = _read_signature(self._artifacts, self._work.digest)
        self._file.write(Progress(phase="planning"))
        # Arrow's own pools keep 40 MB of freed memory for reuse; read when Arrow is first imported
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
        from modelport.jobs.board import Board
        from modelport.jobs.opening import open_source, splices
        from modelport.jobs.parquet_input import measure_parquet
        from modelport.jobs.scoring import Pieces, Scorer, run_threads
        from modelport.jobs.tally import Tally

        join = self._work.join
        plan = settle_plan(
            self._work, self._folder, measure_parquet, memory_bytes=memory_bytes, threads=count
        )
        shards = Shards(self._folder)
        published = shards.published()
        self._failed = sum(target.failed for target in published.values())
        board = Board(shards.done())
        self._tally = Tally(plan, board, published, self._clock)
        todo = [number for number in range(len(plan.targets)) if number not in published]
        pieces = Pieces(
            [file for number in todo for file in plan.targets[number].inputs],
            lambda file: open_source(plan, file, signature, join=join),
            signature,
            board,
            join_columns=join and not splices(plan, join=join),
            splices=splices(plan, join=join),
            output_format=plan.output_format,
        )
        halt = threading.Event()
        threads = run_threads(count, pieces, lambda: Scorer(loading.wait(), shards, pieces), board, halt)
        try:
            for number in todo:
                published[number] = self._make_target(plan, plan.targets[number], board, shards)
                shards.write_published(number, published[number])
                for file in plan.targets[number].inputs:
                    shards.forget(file)
        finally:
            halt.set()
            for thread in threads:
                thread.join()
        targets = [published[number] for number in sorted(published)]
        if plan.folder:
            self._close_folder(plan, targets)
        return self.result("Completed", detail=self._detail(targets))

    def result(
        self,
        status: Literal["Completed", "Failed", "Stopped"],
        reason: str | None = None,
        detail: dict[str, Any] | None = None,
    ) -> JobResult:
        """Return the outcome, after the last progress was written."""
        progress = self._progress(status.lower())
        self._file.write(progress)
        return JobResult(status, failure_reason=reason, progress=progress, detail=detail or {})

    def _progress(self, phase: str) -> Progress:
        return Progress(phase=phase) if self._tally is None else self._tally.progress(phase, self._failed)

    def _make_target(self, plan: Plan, target: Target, board: Board, shards: Shards) -> Published:
        """Put a target's shards together as they come, and let it appear."""
        remote = is_remote(target.url)
        place = self._folder / PurePosixPath(target.url).name if remote else local_path(target.url)
        failed, file_in_making = FailedRows(place), PartialFile(place)
        assembly: Assembly | None = None
        rows = 0
        from modelport.jobs.writing import assemble

        try:
            for file in target.inputs:
                url, base, index = plan.inputs[file].url, 0, 0
                while (meta := self._wait_for(board, file, index)) is not None:
                    assembly = assembly or assemble(
                        file_in_making.stream, board.schemas[file], plan.output_format
                    )
                    self._take_failures(failed, meta, url, base)
                    assembly.add(shards.read(file, index))
                    rows += meta.records - len(meta.failures)
                    base += meta.records
                    index += 1
            if assembly is not None:
                assembly.finish()
            failed.publish()
            file_in_making.publish()
        finally:
            if assembly is not None:
                assembly.close()
            failed.discard()
            file_in_making.discard()
        failed_url = failed_rows_url(target.url) if failed.rows else None
        if remote:
            if failed_url is not None:
                upload(failed.path, failed_url)
            upload(place, target.url)
            crash_point("transform.after_upload")
            place.unlink()
        return Published(target.url, rows, failed.rows, failed_url)

    def _wait_for(self, board: Board, file: int, index: int) -> Meta | None:
        """Return the next shard's meta, or None at the input's end."""
        while True:
            self._file.write(self._progress("predicting"))
            if self._stop.made():
                raise _StopAsked
            found = board.wait_for(file, index, LOOK_EVERY_S)
            if isinstance(found, Meta):
                return found
            if found:
                return None

    def _take_failures(self, failed: FailedRows, meta: Meta, url: str, base: int) -> None:
        for number, feature, reason in meta.failures:
            self._failed += 1
            failed.add(url, base + number, feature, reason)
            if self._failed > self._work.failed_rows_max:
                which = f", feature {feature!r}" if feature is not None else ""
                allowed = self._work.failed_rows_max
                count = f"{self._failed} rows failed, at most {allowed} may: " if allowed else ""
                raise CheckFailed(
                    f"{count}row {base + number} of {url}{which}: {reason}",
                    hint="correct the input, or allow failed rows with --failed-rows-max",
                )

    def _close_folder(self, plan: Plan, targets: list[Published]) -> None:
        """Write the manifest, then the mark that all is there."""
        manifest = msgspec.json.format(
            msgspec.json.encode(
                {
                    "model_version": self._work.model_version,
                    "digest": self._work.digest,
                    "files": [
                        {
                            "file": PurePosixPath(done.url).name,
                            "inputs": [plan.inputs[file].url for file in target.inputs],
                            "rows": done.rows,
                            "failed_rows": done.failed,
                        }
                        for target, done in zip(plan.targets, targets, strict=True)
                    ],
                }
            )
        )
        base = self._work.output_url.rstrip("/")
        for name, content in ((MANIFEST, manifest), (SUCCESS, b"")):
            if is_remote(base):
                write_remote(f"{base}/{name}", content)
            else:
                write_durably(local_path(base) / name, content, mode=0o644)
            crash_point("transform.after_folder_file")

    def _detail(self, targets: list[Published]) -> dict[str, Any]:
        rows = sum(target.rows for target in targets)
        return {
            "rows": rows,
            "failed_rows": sum(target.failed for target in targets),
            "outputs": [target.url for target in targets],
            "failed_rows_files": [target.failed_url for target in targets if target.failed_url is not None],
            "seconds": round(self._clock.monotonic() - self._started_at, 3),
        }


class _Loading:
    """The model, loading in a thread of its own: ONNX Runtime starts while Arrow does.

    The thread imports ONNX Runtime and nothing that the main thread imports too: two threads that
    import modules which need each other can be handed unfinished ones.
    """

    def __init__(self, artifacts: LocalArtifacts, digest: str, kernels: Path | None) -> None:
        self._model: LoadedModel | None = None
        self._error: Exception | None = None
        self._thread = threading.Thread(
            target=self._load, args=(artifacts, digest, kernels), name="model-loader"
        )
        self._thread.start()

    def wait(self) -> LoadedModel:
        """Return the model.

        Raises:
            ModelportError: It cannot be loaded.
        """
        self._thread.join()
        if self._model is None:
            raise self._error or ModelportError("the model was not loaded")
        return self._model

    def _load(self, artifacts: LocalArtifacts, digest: str, kernels: Path | None) -> None:
        try:
            self._model = LoadedModel.load(artifacts, digest, kernels)
        except Exception as error:  # noqa: BLE001 - raised to whoever waits
            self._error = error


def _read_signature(artifacts: LocalArtifacts, digest: str) -> Signature:
    manifest = decode_manifest(artifacts.read(digest))
    return decode_signature(artifacts.read(manifest.files[SIGNATURE]))


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1
