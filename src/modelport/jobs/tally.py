"""Counting a batch job: rows, shards, pace, from what is published and what the threads report."""

from __future__ import annotations

from modelport.domain.clock import Clock
from modelport.jobs.board import Board
from modelport.jobs.places import extension
from modelport.jobs.plan import Plan
from modelport.jobs.progress import Pace
from modelport.jobs.shards import Published
from modelport.wire.jobs import Progress


class Tally:
    """How far a batch job is.

    Args:
        plan: What there is to do.
        board: What the threads have done.
        published: Targets that stand; grows.
        clock: Source of time.
    """

    def __init__(self, plan: Plan, board: Board, published: dict[int, Published], clock: Clock) -> None:
        self._plan = plan
        self._board = board
        self._published = published
        self._total = sum(plan.rows) if plan.rows else sum(file.size for file in plan.inputs)
        self._of_targets = [
            sum(plan.rows[file] if plan.rows else plan.inputs[file].size for file in target.inputs)
            for target in plan.targets
        ]
        # the size of packed text tells nothing of how much there is
        self._packed = any(extension(file.url)[1] is not None for file in plan.inputs)
        self._pace = Pace(clock, self._share())

    def progress(self, phase: str, failed: int) -> Progress:
        """Return rows, shards, pace.

        Args:
            phase: What is being done, in a word.
            failed: Rows that failed so far.
        """
        rate, left = self._pace.measure(self._board.records_now, self._share())
        if self._packed:
            left = None
        rows = sum(target.rows + target.failed for target in self._published.values())
        plan = self._plan
        return Progress(
            rows_done=rows + sum(self._board.records(file) for file in self._open()),
            rows_total=sum(plan.rows) if plan.rows else None,
            rows_failed=failed,
            rows_per_second=rate,
            seconds_left=left,
            shards_done=self._board.shards_now,
            shards_total=sum(max(1, -(-rows // plan.shard_rows)) for rows in plan.rows) or None,
            phase=phase,
        )

    def _open(self) -> list[int]:
        return [
            file
            for number, target in enumerate(self._plan.targets)
            if number not in self._published
            for file in target.inputs
        ]

    def _share(self) -> float:
        done = sum(self._of_targets[number] for number in self._published)
        done += sum(self._board.covered(file) for file in self._open())
        return min(1.0, done / self._total) if self._total else 1.0
