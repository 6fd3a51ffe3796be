"""A client of one platform: registry, endpoints, jobs, events."""

from __future__ import annotations

import itertools
import os
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import httpx

from modelport.access.hosts import is_loopback
from modelport.domain.clock import Clock, SystemClock
from modelport.domain.errors import ModelportError, NotFound, Unavailable
from modelport.domain.names import check_name, parse_version
from modelport.sdk.endpoints import Endpoint
from modelport.sdk.percent import parse_percent
from modelport.sdk.transport import Transport, quote
from modelport.sdk.versions import ModelGroup, ModelVersion

if TYPE_CHECKING:
    from modelport.sdk.jobs import Job

DEFAULT_URL = "http://127.0.0.1:8090"
URL_VARIABLE = "MODELPORT_URL"
TOKEN_VARIABLE = "MODELPORT_TOKEN"  # noqa: S105 - the variable's name, not a token
UPLOAD_CHUNK_BYTES = 1 << 20
EVENTS_PAGE = 1_000


class Client:
    """Speaks to one platform. Also a context manager that closes its connections.

    Args:
        url: Control URL; None: `MODELPORT_URL`, else `http://127.0.0.1:8090`.
        token: Bearer token; None: `MODELPORT_TOKEN`, else none is sent.
        inference_url: Where predictions are asked; None: the server is asked for it.
        timeout_s: Seconds a server may be silent.
        dock: Stands in for the network in tests.
        clock: Measures waits.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        inference_url: str | None = None,
        timeout_s: float = 60.0,
        dock: httpx.BaseTransport | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.clock: Clock = clock or SystemClock()
        self._token = token if token is not None else os.environ.get(TOKEN_VARIABLE)
        self._timeout_s = timeout_s
        self._dock = dock
        self.control = self._transport(url or os.environ.get(URL_VARIABLE) or DEFAULT_URL)
        self._inference = self._transport(inference_url) if inference_url else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Client {self.url}>"

    @property
    def url(self) -> str:
        """Return the control URL."""
        return self.control.url

    @property
    def inference(self) -> Transport:
        """Return the way to the inference port; the server is asked for it once."""
        if self._inference is None:
            url = self.status().get("inference_url")
            if not url:
                raise Unavailable(f"{self.url} does not know its inference URL yet", hint="try again")
            self._inference = self._transport(reachable(url, self.url))
        return self._inference

    @property
    def inference_url(self) -> str:
        """Return the inference URL."""
        return self.inference.url

    @property
    def credentials(self) -> list[tuple[str, str]]:
        """Return the headers that tell who asks; none without a token."""
        return [("Authorization", f"Bearer {self._token}")] if self._token else []

    def close(self) -> None:
        """Close the connections."""
        self.control.close()
        if self._inference is not None:
            self._inference.close()

    def status(self) -> dict[str, Any]:
        """Return the platform's version, URLs, processes, workers, and what is not settled."""
        return dict(self.control.ask("GET", "/api/v1/status"))

    def events(
        self,
        *,
        kind: str | None = None,
        name: str | None = None,
        after: int | None = None,
        limit: int | None = None,
    ) -> list[dict[str, Any]]:
        """Return what happened, oldest first.

        Args:
            kind: Only of this kind of resource, for example "Endpoint".
            name: Only of this resource.
            after: Only those after this sequence number; None: from the beginning.
            limit: At most so many; None: all.
        """
        found = self._items("/api/v1/events", kind=kind, name=name, after=after, limit=limit or EVENTS_PAGE)
        return list(itertools.islice(found, limit))

    # models

    def models(self) -> list[ModelGroup]:
        """Return the registered models."""
        return [ModelGroup(self, document) for document in self._items("/api/v1/model-package-groups")]

    def versions(self, name: str) -> list[ModelVersion]:
        """Return the versions of one model, newest first.

        Args:
            name: The model's name.

        Raises:
            NotFound: There is no such model.
        """
        path = f"/api/v1/model-package-groups/{quote(check_name(name, what='model'))}/versions"
        return [ModelVersion(self, document) for document in self._items(path)]

    def register(  # noqa: PLR0913 - all but two are optional
        self,
        model: Any,
        name: str,
        *,
        example: Any = None,
        labels: Sequence[Any] | None = None,
        units: Mapping[str, str] | None = None,
        metrics: Mapping[str, float] | None = None,
        approval: str | None = None,
        alias: str | None = None,
        trust: bool = False,
        example_data: bool = True,
        description: str | None = None,
        metadata: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        parent_version: int | None = None,
    ) -> ModelVersion:
        """Convert a model here, prove that its answers do not change, and register it.

        Args:
            model: A fitted estimator or pipeline; or the path of a model file.
            name: The model's name; made when there is none.
            example: Rows of the training features, DataFrame or array `[rows, features]`: they become
                the signature, the proof's rows and the baseline of drift. The whole training set is fine.
            labels: Words for the classes, in the order of the model's own; None keeps the training data's.
            units: Feature (or target) name to unit, for people.
            metrics: Metric name to number, kept with the version.
            approval: "manual" to let somebody approve it first; None: it may be deployed at once.
            alias: Pointed at the new version.
            trust: Let a pickle file run its code, in a sandbox.
            example_data: Keep rows of the example in the proof; otherwise made-up rows only.
            description: For people.
            metadata: Free words, kept with the version.
            tags: AWS tags.
            parent_version: The version it was trained to replace.

        Raises:
            ConversionFailed: A step cannot be converted; says which, why, and what would work.
            CheckFailed: The converted model is not the original; shows the worst row.
            InvalidInput: A name is not allowed, or the example does not fit the model.
            Refused: A pickle file without trust.
        """
        from modelport.sdk.publishing import bundle_of, check_wish, publish

        check_wish(name, alias, approval)
        bundle = bundle_of(model, example, labels=labels, units=units, trust=trust, example_data=example_data)
        return publish(
            self,
            bundle,
            name,
            approval=approval,
            alias=alias,
            metrics=metrics,
            description=description,
            metadata=metadata,
            tags=[{"key": key, "value": value} for key, value in (tags or {}).items()],
            parent_version=parent_version,
        )

    def version(self, reference: str) -> ModelVersion:
        """Return one version.

        Args:
            reference: `name:3`, `name@champion`, or `name` for the newest.

        Raises:
            NotFound: There is no such version.
        """
        path = f"/api/v1/model-packages/{quote(str(parse_version(reference)))}"
        return ModelVersion(self, self.control.ask("GET", path))

    def upload(self, content: bytes | Path) -> str:
        """Store an artifact and return its SHA-256; one that is there already is not sent again.

        Args:
            content: The bytes, or a file that is streamed.
        """
        digest = _sha256(content)
        try:
            self.control.send("HEAD", f"/api/v1/artifacts/{digest}")
        except NotFound:
            body = content if isinstance(content, bytes) else _chunks(content)
            headers = {"X-Content-SHA256": digest, "Content-Type": "application/octet-stream"}
            self.control.send("POST", "/api/v1/artifacts", body, headers=headers)
        return digest

    def download(self, digest: str) -> bytes:
        """Return an artifact's bytes.

        Raises:
            NotFound: There is none.
        """
        return self.control.send("GET", f"/api/v1/artifacts/{digest}").content

    def create_version(
        self,
        name: str,
        digest: str,
        *,
        approval: str | None = None,
        alias: str | None = None,
        **about: Any,
    ) -> ModelVersion:
        """Register a bundle whose files are uploaded.

        Args:
            name: The model's name; created when there is none.
            digest: SHA-256 of the bundle's manifest.
            approval: "manual" to wait for `approve`; None: Approved at once.
            alias: Pointed at the new version.
            about: `framework`, `estimator`, `metrics`, `metadata`, `tags`, `parent_version`, `description`.
        """
        wish = {
            "digest": digest,
            "approval_status": "PendingManualApproval" if approval == "manual" else "Approved",
            **{key: value for key, value in about.items() if value is not None},
        }
        path = f"/api/v1/model-package-groups/{quote(check_name(name, what='model'))}/versions"
        version = ModelVersion(self, self.control.ask("POST", path, wish))
        return version.alias(alias) if alias else version

    # endpoints

    def endpoint(self, name: str) -> Endpoint:
        """Return an endpoint.

        Args:
            name: Its name.

        Raises:
            NotFound: There is no such endpoint.
        """
        path = f"/api/v1/endpoints/{quote(check_name(name, what='endpoint'))}"
        return Endpoint(self, self.control.ask("GET", path))

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints."""
        return [Endpoint(self, document) for document in self._items("/api/v1/endpoints")]

    def request_deployment(
        self,
        version: str | ModelVersion,
        endpoint: str,
        *,
        traffic: str | float | None = None,
        shadow: bool = False,
        capture: str | float | None = None,
    ) -> Endpoint:
        """Ask for a version to be served, without waiting. Arguments as for `deploy`."""
        wish = {
            "model_package": str(parse_version(str(version))),
            "traffic_percent": None if traffic is None else parse_percent(traffic, what="traffic"),
            "shadow": shadow,
            "capture_percent": None if capture is None else parse_percent(capture, what="capture"),
        }
        path = f"/api/v1/endpoints/{quote(check_name(endpoint, what='endpoint'))}/deployments"
        return Endpoint(self, self.control.ask("POST", path, wish))

    def deploy(
        self,
        version: str | ModelVersion,
        endpoint: str,
        *,
        traffic: str | float | None = None,
        shadow: bool = False,
        capture: str | float | None = None,
        timeout_s: float | None = 120.0,
    ) -> Endpoint:
        """Serve a version under an endpoint's name and wait until it is InService.

        Args:
            version: `name:3`, `name@alias`, `name`, or a `ModelVersion`.
            endpoint: Name of the endpoint; created when there is none.
            traffic: The true share it gets, "10%" or 10; the others are scaled. None: all of it, and the
                variants before it go.
            shadow: It gets a copy of each request, and its answers are only captured.
            capture: Share of the traffic that is kept for monitoring; None leaves that as it is.
            timeout_s: Seconds to wait; None for ever.

        Raises:
            ModelportError: The endpoint failed or went back to what it served; says why.
            TimedOut: The time is over; the platform goes on.
        """
        wish = self.request_deployment(version, endpoint, traffic=traffic, shadow=shadow, capture=capture)
        return wish.wait(timeout_s=timeout_s)

    # jobs

    def jobs(self) -> list[Job]:
        """Return the jobs, batch jobs first."""
        from modelport.sdk.jobs import PATHS, Job

        return [Job(self, document) for path in PATHS.values() for document in self._items(path)]

    def job(self, name: str) -> Job:
        """Return a job of either kind.

        Args:
            name: Its name.

        Raises:
            NotFound: There is no such job.
        """
        from modelport.sdk.jobs import PATHS, Job

        for path in PATHS.values():
            try:
                return Job(self, self.control.ask("GET", f"{path}/{quote(check_name(name, what='job'))}"))
            except NotFound:
                continue
        raise NotFound(f"there is no job {name!r}", hint="see `modelport jobs`")

    def batch(
        self,
        version: str | ModelVersion,
        source: str | Path,
        output: str | Path,
        *,
        join: bool = False,
        failed_rows_max: int = 0,
        input_format: str | None = None,
        output_format: str | None = None,
        name: str | None = None,
    ) -> Job:
        """Start scoring files; the job goes on without this process.

        Args:
            version: `name:3`, `name@alias`, `name`, or a `ModelVersion`.
            source: File, folder or fsspec URL of Parquet, CSV or JSON Lines.
            output: File, folder or fsspec URL to write to.
            join: Write the input's columns before the predictions.
            failed_rows_max: Rows that may fail before the job does; they are listed in a side file.
            input_format: "parquet", "csv" or "jsonl"; None: told by the extension.
            output_format: The same for the output; None: told by its extension, else as the input.
            name: Of the job; None: a fresh one.

        Returns:
            The job: `wait()`, `watch()`, `progress()`, `stop()`.
        """
        from modelport.sdk.jobs import start_batch

        return start_batch(
            self,
            str(version),
            source,
            output,
            join=join,
            failed_rows_max=failed_rows_max,
            input_format=input_format,
            output_format=output_format,
            name=name,
        )

    def monitor(
        self,
        endpoint: str | Endpoint,
        *,
        since: str | datetime | None = None,
        until: str | datetime | None = None,
        timeout_s: float | None = 600.0,
    ) -> Job:
        """Compare an endpoint's traffic with its training data and its labels, and wait for the report.

        Args:
            endpoint: Whose traffic.
            since: Start of the window: RFC 3339 with a zone, or an aware datetime. None: all that is kept.
            until: End of the window; None: now.
            timeout_s: Seconds to wait; None for ever; 0 does not wait.

        Returns:
            The job: `text` is the report in plain words, `report` where the HTML is, `detail` the numbers.

        Raises:
            Conflict: The endpoint captures nothing; the hint turns it on.
        """
        from modelport.sdk.jobs import start_monitor

        job = start_monitor(self, str(endpoint), since, until)
        return job if timeout_s == 0 else job.wait(timeout_s=timeout_s)

    def _items(self, path: str, *, after: Any = None, **filters: Any) -> Iterator[dict[str, Any]]:
        while True:
            page: Mapping[str, Any] = self.control.ask("GET", path, params={**filters, "after": after})
            yield from page["items"]
            after = page.get("next")
            if after is None:
                return

    def _transport(self, url: str) -> Transport:
        return Transport(url, self._token, timeout_s=self._timeout_s, dock=self._dock, clock=self.clock)


def reachable(url: str, control_url: str) -> str:
    """Return a server's own inference URL as this client reaches it.

    A server bound to all addresses, or behind a tunnel, names itself by one that means nothing here: then
    the name that reaches its control port is kept.
    """
    told, known = urllib.parse.urlsplit(url), urllib.parse.urlsplit(control_url)
    if told.hostname in ("0.0.0.0", "::") or (  # noqa: S104 - compared, never bound
        is_loopback(told.hostname or "") and not is_loopback(known.hostname or "")
    ):
        host = f"[{known.hostname}]" if ":" in (known.hostname or "") else known.hostname
        return told._replace(netloc=f"{host}:{told.port}" if told.port else str(host)).geturl()
    return url


def _sha256(content: bytes | Path) -> str:
    import hashlib

    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    try:
        with content.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelportError(f"cannot read {content}: {error.strerror}") from error


def _chunks(path: Path) -> Iterable[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(UPLOAD_CHUNK_BYTES):
            yield chunk
