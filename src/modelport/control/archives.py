"""Looks into the archives that Models point at, beside the loop, in processes that may die of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol

from modelport.control.engine import Engine
from modelport.domain.errors import InvalidInput, ModelportError
from modelport.domain.planning.endpoint import ArchiveKey, Trial, TrialState, archive_key
from modelport.domain.registry import Model
from modelport.domain.resource import Kind
from modelport.stores.records.records import Records

TOGETHER_MAX = 2
SCHEME = "s3://"


class Objects(Protocol):
    """The object store, as far as archives need it."""

    def digest_of(self, bucket: str, key: str) -> str:
        """Return the SHA-256 of an object's bytes, which lie in the artifact store.

        Raises:
            NotFound: There is no such object.
        """
        ...


class Archives:
    """Turns the archive of a Model into a bundle, and writes its digest into the Model's notes.

    Args:
        records: Where Models are kept.
        objects: Where the archives lie.
        engine: Runs the looks.
        wake: Called when a look has ended.
    """

    def __init__(self, records: Records, objects: Objects, engine: Engine, wake: Callable[[], None]) -> None:
        self._records = records
        self._objects = objects
        self._engine = engine
        self._wake = wake
        self._lock = threading.Lock()
        self._turns = threading.Semaphore(TOGETHER_MAX)
        self._looks: dict[ArchiveKey, Trial] = {}

    def start(self, model: Model) -> None:
        """Look into a Model's archive, unless that is under way or has failed."""
        key = archive_key(model)
        with self._lock:
            if key in self._looks:
                return
            self._looks[key] = Trial(TrialState.RUNNING)
        threading.Thread(target=self._run, args=(model,), name=f"archive-{model.name}", daemon=True).start()

    def looks(self) -> Mapping[ArchiveKey, Trial]:
        """Return every look that is under way or failed."""
        with self._lock:
            return dict(self._looks)

    def forget(self, key: ArchiveKey) -> None:
        """Let an archive be looked into again; a look that is under way goes on."""
        with self._lock:
            known = self._looks.get(key)
            if known is not None and known.state is not TrialState.RUNNING:
                del self._looks[key]

    def _run(self, model: Model) -> None:
        key = archive_key(model)
        with self._turns:
            try:
                reason = self._look(model)
            except ModelportError as error:
                reason = f"{error.message}; {error.hint}" if error.hint else error.message
            except Exception as error:  # noqa: BLE001 (whatever it is, the endpoint has to say so)
                reason = f"its archive could not be looked into: {error}"
        with self._lock:
            if reason is None:
                del self._looks[key]
            else:
                self._looks[key] = Trial(TrialState.FAILED, reason)
        self._wake()

    def _look(self, model: Model) -> str | None:
        """Return why an archive cannot be served; None when the Model knows its bundle now."""
        outcome = self._engine.open_archive(self._find(str(model.spec.primary_container.model_data_url)))
        if outcome.reason is not None:
            return outcome.reason
        digest = str(outcome.said["digest"])
        with self._records.transaction() as tx:
            current: Model | None = tx.find(Kind.MODEL, model.name)
            if current is not None and archive_key(current) == archive_key(model):
                tx.put(replace(current, modelport=replace(current.modelport, digest=digest)))
                tx.event("status", Kind.MODEL, model.name, f"its archive holds model {digest[:12]}")
        return None

    def _find(self, url: str) -> str:
        """Return the digest of the archive at a URL."""
        bucket, slash, key = url.removeprefix(SCHEME).partition("/")
        if not url.startswith(SCHEME) or not (bucket and slash and key):
            raise InvalidInput(f"model data at {url!r} cannot be read, expected {SCHEME}BUCKET/KEY")
        return self._objects.digest_of(bucket, key)
