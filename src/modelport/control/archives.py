"""Looks into the archives that Models point at, beside the loop, in processes that may die of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from modelport.control.buckets import Buckets
from modelport.control.engine import Engine
from modelport.domain.errors import InvalidInput, ModelportError, NotFound
from modelport.domain.planning.endpoint import ArchiveKey, Trial, TrialState, archive_key
from modelport.domain.registry import MULTI_MODEL, Code, CodeUse, ContainerDefinition, Model, Step
from modelport.domain.resource import Kind
from modelport.engines.images import Environment, find_environment
from modelport.stores.records.records import Records

TOGETHER_MAX = 2
SCHEME = "s3://"
SUBMIT_DIRECTORY = "SAGEMAKER_SUBMIT_DIRECTORY"
"""Where the SageMaker SDK says that the code of a container lies: an archive of its own, or the model's."""


class Archives:
    """Finds out what a Model serves, a bundle or code of its own, and writes that into the Model's notes.

    Args:
        records: Where Models are kept.
        buckets: Where the archives lie.
        engine: Runs the looks.
        images: Table of what stands for container images here.
        wake: Called when a look has ended.
    """

    def __init__(
        self, records: Records, buckets: Buckets, engine: Engine, images: Path, wake: Callable[[], None]
    ) -> None:
        self._records = records
        self._buckets = buckets
        self._engine = engine
        self._images = images
        self._wake = wake
        self._lock = threading.Lock()
        self._turns = threading.Semaphore(TOGETHER_MAX)
        self._looks: dict[ArchiveKey, Trial] = {}
        self._found: dict[ArchiveKey, Step] = {}

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

    def found(self) -> Mapping[ArchiveKey, Step]:
        """Return what the archives hold of whose Models there is no record."""
        with self._lock:
            return dict(self._found)

    def forget(self, key: ArchiveKey) -> None:
        """Let an archive be looked into again; a look that is under way goes on."""
        with self._lock:
            self._found.pop(key, None)
            known = self._looks.get(key)
            if known is not None and known.state is not TrialState.RUNNING:
                del self._looks[key]

    def _run(self, model: Model) -> None:
        key = archive_key(model)
        with self._turns:
            try:
                reason = self._look(model)
            except Exception as error:  # noqa: BLE001 (whatever it is, the endpoint has to say so)
                reason = f"its archive could not be looked into: {error}"
        with self._lock:
            if reason is None:
                del self._looks[key]
            else:
                self._looks[key] = Trial(TrialState.FAILED, reason)
        self._wake()

    def _look(self, model: Model) -> str | None:
        """Return why a Model cannot be served; None when it is known now what it serves."""
        steps, containers = [], model.spec.containers
        if containers[0].mode == MULTI_MODEL:
            return self._look_at_folder(model, containers[0])
        for number, container in enumerate(containers, start=1):
            try:
                found = self._look_into(container)
            except ModelportError as error:
                found = f"{error.message}; {error.hint}" if error.hint else error.message
            if isinstance(found, str):
                return f"its container {number}: {found}" if len(containers) > 1 else found
            steps.append(found)
        self._write(model, steps)
        return None

    def _look_at_folder(self, model: Model, container: ContainerDefinition) -> str | None:
        """Return why the models of a folder cannot be served; None: each is looked into when it is asked."""
        url = container.model_data_url or ""
        bucket, _, folder = url.removeprefix(SCHEME).partition("/")
        if not (url.startswith(SCHEME) and bucket):
            return f"its models are at {url!r}, expected {SCHEME}BUCKET/PREFIX/"
        try:
            self._buckets.bucket(bucket)
        except NotFound as error:
            return f"{error.message}, where its models are to be"
        folder = folder if folder.endswith("/") or not folder else f"{folder}/"
        self._write(model, [Step()], models=f"{SCHEME}{bucket}/{folder}")
        return None

    def _look_into(self, container: ContainerDefinition) -> Step | str:
        """Return what a container serves, or why it cannot."""
        environment, unknown = self._environment_of(container)
        source = container.environment.get(SUBMIT_DIRECTORY, "")
        brings_code = source.startswith(SCHEME) or (environment is not None and bool(environment.serve))
        use = CodeUse.ALWAYS if brings_code else CodeUse.MAYBE if environment is not None else CodeUse.ASKED
        digest, code = "", Code()
        if container.model_data_url is not None:
            archive = self._find(container.model_data_url)
            outcome = self._engine.open_archive(archive, use)
            if outcome.reason is not None:
                return outcome.reason
            digest, code = str(outcome.said.get("digest", "")), Code(archive)
        elif not brings_code:
            raise unknown or InvalidInput(f"the image {container.image!r} serves models, and none is given")
        if not digest and unknown is not None:
            raise unknown
        if not digest and source.startswith(SCHEME):
            code = replace(code, source=self._find(source))
            outcome = self._engine.open_archive(code.source, CodeUse.ALWAYS)
            if outcome.reason is not None:
                return f"its code at {source}: {outcome.reason}"
        return Step(digest) if digest else Step(code=code)

    def _environment_of(
        self, container: ContainerDefinition
    ) -> tuple[Environment | None, ModelportError | None]:
        """Return what stands for a container's image, or why nothing does."""
        try:
            return find_environment(container.image or "", self._images), None
        except ModelportError as error:
            return None, error

    def _write(self, model: Model, steps: Sequence[Step], models: str | None = None) -> None:
        """Write down what a Model serves; keep it here where there is no record of such a Model."""
        told = models or "; then ".join(
            "it is code of its own"
            if step.code is not None
            else f"its archive holds model {step.digest[:12]}"
            for step in steps
        )
        first, *further = steps
        with self._records.transaction() as tx:
            current: Model | None = tx.find(Kind.MODEL, model.name)
            if current is not None and archive_key(current) == archive_key(model):
                notes = replace(
                    current.modelport,
                    digest=first.digest,
                    code=first.code,
                    further=tuple(further),
                    models=models,
                )
                tx.put(replace(current, modelport=notes))
                tx.event("status", Kind.MODEL, model.name, told)
                return
        with self._lock:
            self._found[archive_key(model)] = first

    def _find(self, url: str) -> str:
        """Return the digest of the archive at a URL."""
        bucket, slash, key = url.removeprefix(SCHEME).partition("/")
        if not url.startswith(SCHEME) or not (bucket and slash and key):
            raise InvalidInput(f"model data at {url!r} cannot be read, expected {SCHEME}BUCKET/KEY")
        return self._buckets.digest_of(bucket, key)
