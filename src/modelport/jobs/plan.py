"""What a batch job will do, decided once: which files, into which targets, in pieces of what size."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath

import msgspec

from modelport.domain.errors import Conflict, InvalidInput
from modelport.durable import crash_point, write_durably
from modelport.jobs.places import Format, Found, extension, is_empty, is_remote, list_inputs, local_path
from modelport.wire.jobs import TransformWork

PLAN_FILE = "plan.json"
SHARD_ROWS_MAX = 1 << 15
SHARD_ROWS_MIN = 256
SHARD_BYTES_MAX = 2 << 20
SHARD_BYTES_MIN = 1 << 16
COPIES_OF_A_ROW = 3  # as read, as matrix, as written
TEXT_GROWTH = 10  # bytes in flight for each byte of text


class Target(msgspec.Struct, frozen=True):
    """One output file and the inputs (by number) that make it, in order."""

    url: str
    inputs: list[int]


class Plan(msgspec.Struct, frozen=True):
    """What will be done. Written before the first shard, read when the job is started again.

    Args:
        inputs: Files to read, in order.
        input_format: Their format.
        output_format: The targets' format.
        targets: Files to write, in order.
        rows: Rows of each input where they are known before reading (Parquet), else empty.
        shard_rows: Rows of a shard (Parquet).
        shard_bytes: Bytes of a shard (text).
        folder: The output is a folder: a manifest and `_SUCCESS` are written last.
    """

    inputs: list[Found]
    input_format: Format
    output_format: Format
    targets: list[Target]
    rows: list[int]
    shard_rows: int
    shard_bytes: int
    folder: bool


def settle_plan(
    work: TransformWork,
    folder: Path,
    measure: Callable[[str], tuple[int, int]],
    *,
    memory_bytes: int,
    threads: int,
) -> Plan:
    """Return the job's plan: the one it has, or a new one, written durably.

    Args:
        work: What was asked for.
        folder: The job's folder.
        measure: Returns (rows, bytes of one row in memory) of a Parquet file.
        memory_bytes: What rows in flight may take.
        threads: How many pieces are in flight.

    Raises:
        NotFound: There is no input.
        InvalidInput: The format cannot be told, or the output is the input.
        Conflict: The input changed since the plan was made, or the output folder holds something.
    """
    place = folder / PLAN_FILE
    if place.exists():
        plan = msgspec.json.decode(place.read_bytes(), type=Plan)
        _check_unchanged(work, plan)
        return plan
    plan = make_plan(work, measure, memory_bytes=memory_bytes, threads=threads)
    if plan.folder and not is_empty(work.output_url):
        raise Conflict(
            f"the output folder {work.output_url} is not empty", hint="name a new folder, or empty that one"
        )
    write_durably(place, msgspec.json.encode(plan))
    crash_point("transform.after_plan")
    return plan


def make_plan(
    work: TransformWork, measure: Callable[[str], tuple[int, int]], *, memory_bytes: int, threads: int
) -> Plan:
    """Decide. See `settle_plan`."""
    inputs, input_format = list_inputs(work.input_url, work.input_format)
    told, packed = (None, None) if work.output_url.endswith("/") else extension(work.output_url)
    if packed is not None:
        raise InvalidInput(
            f"cannot write {work.output_url}: outputs are not packed as {packed}",
            hint="name it .parquet, which is compressed by itself, .csv or .jsonl",
        )
    output_format = work.output_format or told or input_format
    if told is not None:
        targets = [Target(work.output_url, list(range(len(inputs))))]
    else:
        names = _names([file.url for file in inputs], output_format)
        base = work.output_url.rstrip("/")
        targets = [Target(f"{base}/{name}", [number]) for number, name in enumerate(names)]
    _check_apart(inputs, targets)
    share = memory_bytes // (threads + 1)
    sizes = [measure(file.url) for file in inputs] if input_format == "parquet" else []
    row_bytes = max((size for _, size in sizes), default=1) * COPIES_OF_A_ROW
    return Plan(
        inputs=inputs,
        input_format=input_format,
        output_format=output_format,
        targets=targets,
        rows=[rows for rows, _ in sizes],
        shard_rows=min(SHARD_ROWS_MAX, max(SHARD_ROWS_MIN, share // row_bytes)),
        shard_bytes=min(SHARD_BYTES_MAX, max(SHARD_BYTES_MIN, share // TEXT_GROWTH)),
        folder=told is None,
    )


def _names(urls: list[str], output_format: Format) -> list[str]:
    """Return an output name for each input: its own, with the new extension; numbered where two agree."""
    stems = [PurePosixPath(url).name.partition(".")[0] for url in urls]
    names: list[str] = []
    for number, stem in enumerate(stems):
        unique = stem if stems.count(stem) == 1 else f"{stem}-{number:05d}"
        names.append(f"{unique}.{output_format}")
    if len(set(names)) < len(names):  # a file is called like the numbered name of another
        return [f"part-{number:05d}.{output_format}" for number in range(len(urls))]
    return names


def _check_apart(inputs: list[Found], targets: list[Target]) -> None:
    read = {_real(file.url) for file in inputs}
    for target in targets:
        if _real(target.url) in read:
            raise InvalidInput(f"the output {target.url} is also an input", hint="name another output")


def _real(url: str) -> str:
    return url if is_remote(url) else str(local_path(url).resolve())


def _check_unchanged(work: TransformWork, plan: Plan) -> None:
    found, _ = list_inputs(work.input_url, work.input_format)
    if found == plan.inputs:
        return
    changed = next((file.url for file in plan.inputs if file not in found), work.input_url)
    raise Conflict(f"{changed} changed since this job began", hint="start a new batch job")
