"""Metric slots: counters of one process in a mapped file, summed by whoever is asked.

Each process keeps plain Python numbers and copies them once a second into a file of its own in
`run/metrics`; `/metrics` of any process sums all files, so the numbers do not depend on who answers. The
file of a process that died keeps counting; sooner or later its totals move into the retired slot, so that
no counter ever goes back.

A slot is a header (magic, sequence, number of series) and an array of fixed-size records: identity as
JSON, then 24 unsigned integers. The sequence is odd while a copy is under way (a sequence lock), so a
reader never sees half of one. The owner holds a lock on the file for as long as it lives.

Source: Linux `seqlock`; Prometheus data model (counters only grow, histograms are cumulative).
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import struct
import time
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from modelport.telemetry.metrics import METRICS, Kind, Metric

MAGIC = b"mpslot02"
HEADER = struct.Struct("<8sQQ")  # magic, sequence, series
WORD_BYTES = 8
SEQUENCE_WORD, SERIES_WORD = 1, 2
HEADER_BYTES = 64
IDENTITY_BYTES = 320
VALUES = 24
RECORD_BYTES = IDENTITY_BYTES + 8 * VALUES
SERIES_MAX = 16_384  # the file is sparse: what is not used takes no room
RETIRED = "retired.json"
LOCK = "lock"
SUFFIX = ".slot"
TORN_READS_MAX = 1000

SeriesKey = tuple[str, tuple[str, ...]]
"""Metric name and label values, in the order of the metric's label names."""


class Series:
    """One metric with one set of label values; `values` are plain integers.

    A counter or gauge has one value. A histogram has one per bucket (not cumulative), one for what is
    beyond the last bound, and the sum: nanoseconds for durations, the number itself otherwise.
    """

    __slots__ = ("_bounds", "_key", "_scale", "values")

    def __init__(self, key: SeriesKey, metric: Metric) -> None:
        self._key = key
        self._bounds = metric.bounds
        self._scale = metric.scale
        self.values = [0] * metric.width

    def add(self, amount: int = 1) -> None:
        """Count `amount` more, at least 0."""
        self.values[0] += amount

    def set(self, value: int) -> None:
        """Replace a gauge."""
        self.values[0] = value

    def observe(self, value: float, times: int = 1) -> None:
        """Count `value` into its bucket, `times` times."""
        values = self.values
        values[bisect_left(self._bounds, value)] += times
        values[-1] += int(value * self._scale) * times


class MetricSlot:
    """The series of this process, and their file.

    Args:
        folder: `run/metrics`; made when absent.
        name: A word for the file's name: which process this is.
    """

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._series: dict[SeriesKey, Series] = {}
        self._written: list[int] = []  # the sum of each one's numbers in the file; what changed has another
        self._path = folder / f"{name}-{os.getpid()}-{os.urandom(6).hex()}{SUFFIX}"
        with _locked(folder, fcntl.LOCK_SH):  # so that nobody meets the file without its lock
            self._file = self._path.open("x+b")
            fcntl.flock(self._file, fcntl.LOCK_EX)
        os.ftruncate(self._file.fileno(), HEADER_BYTES + SERIES_MAX * RECORD_BYTES)  # sparse
        self._map = mmap.mmap(self._file.fileno(), 0)
        self._words = memoryview(self._map).cast("Q")  # stores a number whole; `pack_into` clears it first
        self._sequence = 0
        HEADER.pack_into(self._map, 0, MAGIC, 0, 0)

    def series(self, metric: str, *labels: str) -> Series:
        """Return the series with these label values, making it when it is new.

        Past the slot's capacity all new ones of a metric share the label values `other`.
        """
        kind = METRICS[metric]
        key = (metric, labels)
        found = self._series.get(key)
        if found is None:
            if len(labels) != len(kind.labels):
                raise ValueError(f"{metric} has the labels {kind.labels}, got {labels}")
            if len(self._series) >= SERIES_MAX - len(METRICS) or len(_identity(key)) > IDENTITY_BYTES:
                key = (metric, ("other",) * len(labels))
            found = self._series.setdefault(key, Series(key, kind))
        return found

    def flush(self) -> None:
        """Copy the numbers that changed into the file."""
        series = list(self._series.items())
        written = self._written
        known = len(written)
        self._sequence += 1
        self._words[SEQUENCE_WORD] = self._sequence
        for number, (key, one) in enumerate(series):
            if number < known and sum(one.values) == written[number]:
                continue
            at = HEADER_BYTES + number * RECORD_BYTES
            copy = one.values.copy()
            if number < known:
                written[number] = sum(copy)
            else:
                written.append(sum(copy))
                identity = _identity(key)
                self._map[at : at + len(identity)] = identity
            first = (at + IDENTITY_BYTES) // WORD_BYTES
            self._words[first : first + len(copy)] = memoryview(array("Q", copy))
        self._words[SERIES_WORD] = len(written)
        self._sequence += 1
        self._words[SEQUENCE_WORD] = self._sequence

    def close(self) -> None:
        """Copy the numbers a last time and let go of the file; it stays until it is retired."""
        self.flush()
        self._words.release()
        self._map.close()
        self._file.close()


Totals = dict[SeriesKey, list[int]]


def read_totals(folder: Path) -> Totals:
    """Return the sum of all slots. Gauges count for living processes only.

    Args:
        folder: `run/metrics`.
    """
    if not folder.is_dir():
        return {}
    with _locked(folder, fcntl.LOCK_SH):
        totals, held = _read_retired(folder)
        for path in folder.glob(f"*{SUFFIX}"):
            if path.name not in held:
                _add(totals, path)
        return totals


def retire_dead(folder: Path) -> int:
    """Move the totals of dead processes into the retired slot and remove their files.

    Killed between two steps and called again it counts nothing twice: the retired slot names the files it
    holds already.

    Args:
        folder: `run/metrics`.

    Returns:
        How many slots were retired.
    """
    if not folder.is_dir():
        return 0
    with _locked(folder, fcntl.LOCK_EX):
        totals, held = _read_retired(folder)
        dead = [path for path in folder.glob(f"*{SUFFIX}") if not _alive(path)]
        for path in dead:
            if path.name not in held:
                _add(totals, path, gauges=False)
        if dead:
            document = {
                "slots": [path.name for path in dead],
                "series": [[name, labels, values] for (name, labels), values in totals.items()],
            }
            fresh = folder / f".{RETIRED}.{os.getpid()}"
            fresh.write_bytes(json.dumps(document).encode())
            fresh.replace(folder / RETIRED)
        for path in dead:
            path.unlink(missing_ok=True)
        return len(dead)


def _add(totals: Totals, path: Path, *, gauges: bool | None = None) -> None:
    try:
        content, count = _read_consistently(path)
    except (OSError, struct.error):  # gone, or no slot
        return
    alive = _alive(path) if gauges is None else gauges
    for number in range(count):
        at = HEADER_BYTES + number * RECORD_BYTES
        name, labels = json.loads(content[at : at + IDENTITY_BYTES].rstrip(b"\0"))
        metric = METRICS.get(name)
        if metric is None or (metric.kind is Kind.GAUGE and not alive):
            continue
        values = struct.unpack_from(f"<{metric.width}Q", content, at + IDENTITY_BYTES)
        known = totals.setdefault((name, tuple(labels)), [0] * metric.width)
        for index, value in enumerate(values):
            known[index] += value


def _read_consistently(path: Path) -> tuple[bytes, int]:
    """Return a slot's content and how many series it holds, while its owner may be writing."""
    with path.open("rb") as file:
        content, series = b"", 0
        for _ in range(TORN_READS_MAX):
            magic, before, series = HEADER.unpack(os.pread(file.fileno(), HEADER.size, 0))
            if magic != MAGIC:
                return b"", 0
            content = os.pread(file.fileno(), HEADER_BYTES + series * RECORD_BYTES, 0)
            _, after, _ = HEADER.unpack(os.pread(file.fileno(), HEADER.size, 0))
            if before == after and (before % 2 == 0 or not _alive(path)):
                break  # a process that died while it copied left every single number whole
            time.sleep(0)
        return content, series


def _read_retired(folder: Path) -> tuple[Totals, frozenset[str]]:
    totals: Totals = {}
    held: frozenset[str] = frozenset()
    with suppress(FileNotFoundError):
        document = json.loads((folder / RETIRED).read_bytes())
        held = frozenset(document["slots"])
        for name, labels, values in document["series"]:
            metric = METRICS.get(name)
            if metric is not None and metric.width == len(values):
                totals[name, tuple(labels)] = list(values)
    return totals, held


def _alive(path: Path) -> bool:
    """Return whether the slot's owner still holds its lock."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


@contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    with (folder / LOCK).open("ab") as file:
        fcntl.flock(file, how)
        yield


def _identity(key: SeriesKey) -> bytes:
    return json.dumps([key[0], list(key[1])], separators=(",", ":")).encode()
