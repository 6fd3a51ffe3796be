"""Keeping order in the home: what nothing points at any more goes, after a while.

Mark and sweep inside a writing transaction: no version can be registered between the two, so what is
swept is not needed, and what is needed is not swept. The grace is for uploads whose version is still to be
registered.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Protocol

import structlog

from modelport.control.log_places import forget_logs
from modelport.control.routes import RouteFiles
from modelport.control.services.wishes import MADE_BY
from modelport.domain.clock import Clock
from modelport.domain.endpoint import Endpoint
from modelport.domain.errors import ModelportError
from modelport.domain.registry import Step
from modelport.domain.resource import Kind, Resource
from modelport.durable import crash_point
from modelport.settings import HomeLayout
from modelport.stores.records.objects import ObjectIndex
from modelport.stores.records.records import Records
from modelport.stores.records.transaction import Transaction
from modelport.wire.manifest import decode_manifest
from modelport.wire.replicas import EMPTY, PREFIX, read_replicas

GRACE = timedelta(hours=24)
LOGS_KEPT = timedelta(days=14)
PERIOD_S = 600.0
FIRST_S = 30.0  # a start has better things to do

_log = structlog.get_logger("modelport.retention")


class Artifacts(Protocol):
    """What retention needs of the artifact store."""

    def read(self, digest: str) -> bytes:
        """Return the verified content."""
        ...

    def digests(self) -> list[str]:
        """Return the digests of everything stored."""
        ...

    def stored_at(self, digest: str) -> datetime | None:
        """Return when an artifact was last stored."""
        ...

    def delete(self, digest: str) -> None:
        """Remove an artifact."""
        ...

    def clear_incoming(self, before: datetime) -> None:
        """Remove what uploads left that were cut off before a time."""
        ...


class Retention:
    """Sweeps.

    Args:
        records: Know what is needed.
        artifacts: What is swept of files.
        files: Route tables; the active one needs its models.
        layout: Where unpacked archives, the list of replicas, logs and labels lie.
        label_age_days: Days labels are kept: as long as the captures they belong to.
        clock: Time.
    """

    def __init__(
        self,
        records: Records,
        artifacts: Artifacts,
        files: RouteFiles,
        layout: HomeLayout,
        *,
        label_age_days: float,
        clock: Clock,
    ) -> None:
        self._records = records
        self._artifacts = artifacts
        self._files = files
        self._layout = layout
        self._label_age = timedelta(days=label_age_days)
        self._clock = clock

    def sweep(self) -> None:
        """Remove what nothing points at and is older than the grace."""
        before = self._clock.now() - GRACE
        with self._records.transaction() as tx:
            self._sweep_configs(tx, before)
            swept = self._sweep_artifacts(tx, before)
            self._sweep_unpacked(tx, before)
        self._artifacts.clear_incoming(before)
        self._sweep_labels()
        self._sweep_logs()
        if swept:
            _log.info("retention.swept", artifacts=swept)

    def _sweep_artifacts(self, tx: Transaction, before: datetime) -> int:
        needed = ObjectIndex(tx).digests()
        for package in tx.all(Kind.MODEL_PACKAGE):
            needed |= {package.modelport.digest, *package.modelport.files.values()}
        # Models, components and the table that serves are asked too: jobs and workers may start from them.
        bundles = {step.digest for step in _steps(tx)}
        bundles |= self._files.active().digests()
        for digest in bundles - needed:
            needed |= {digest, *self._files_of(digest)}
        swept = 0
        for digest in self._artifacts.digests():
            if digest in needed:
                continue
            stored = self._artifacts.stored_at(digest)
            if stored is not None and stored < before:
                self._artifacts.delete(digest)
                crash_point("retention.artifact_deleted")
                swept += 1
        return swept

    def _sweep_unpacked(self, tx: Transaction, before: datetime) -> None:
        """Remove files of archives that nothing needs, and what a crash left half-made."""
        needed = {"", EMPTY}
        for code in (step.code for step in _steps(tx)):
            needed |= set() if code is None else {code.archive, code.source}
        for spec in read_replicas(self._layout.replicas_file):
            needed |= {spec.archive, spec.source}
        for folder in self._layout.unpacked.glob("*"):
            if folder.name not in needed and folder.stat().st_mtime < before.timestamp():
                shutil.rmtree(folder, ignore_errors=True)
                crash_point("retention.unpacked_deleted")

    def _files_of(self, digest: str) -> Iterable[str]:
        try:
            return decode_manifest(self._artifacts.read(digest)).files.values()
        except ModelportError:
            return ()

    def _sweep_configs(self, tx: Transaction, before: datetime) -> None:
        """Remove configs that a deploy made and that no endpoint serves, wishes for or could go back to."""
        used: set[str | None] = set()
        for name in tx.names(Kind.ENDPOINT):
            endpoint: Endpoint = tx.get(Kind.ENDPOINT, name)
            used |= {
                endpoint.spec.endpoint_config_name,
                endpoint.status.endpoint_config_name,
                endpoint.modelport.previous_config,
            }
        for config in tx.all(Kind.ENDPOINT_CONFIG):
            if config.name not in used and _is_ours(config) and config.created_at < before:
                tx.remove(Kind.ENDPOINT_CONFIG, config.name)

    def _sweep_logs(self) -> None:
        """Remove logs of replicas that are not wanted any more and have said nothing for long."""
        wanted = {f"{PREFIX}{spec.name}.log" for spec in read_replicas(self._layout.replicas_file)}
        oldest = (self._clock.now() - LOGS_KEPT).timestamp()
        for log in self._layout.logs.glob(f"{PREFIX}*.log*"):
            if log.name.removesuffix(".1") not in wanted and log.stat().st_mtime < oldest:
                log.unlink(missing_ok=True)
        forget_logs(self._layout, wanted)

    def _sweep_labels(self) -> None:
        """Remove the hours of labels that are older than the captures they belong to."""
        oldest = (self._clock.now() - self._label_age).strftime("%Y/%m/%d/%H")
        for hour in self._layout.labels.glob("*/*/*/*/*"):
            if hour.is_dir() and "/".join(hour.parts[-4:]) < oldest:
                shutil.rmtree(hour, ignore_errors=True)
                for empty in hour.parents[:3]:  # its day, month and year, where nothing is left in them
                    with suppress(OSError):
                        empty.rmdir()


def _steps(tx: Transaction) -> Iterator[Step]:
    """Yield what every Model's containers and every inference component's own container serve."""
    for model in tx.all(Kind.MODEL):
        yield from model.modelport.steps
    for component in tx.all(Kind.INFERENCE_COMPONENT):
        if component.modelport.step is not None:
            yield component.modelport.step


def _is_ours(config: Resource[Any, Any, Any]) -> bool:
    return MADE_BY in config.spec.tags
