"""Every setting, read once: flag > `MODELPORT_*` > `modelport.toml` or `[tool.modelport]` > default.

Settings are handed down as values; nothing imports a global. Units end the names. Each field's metadata
holds the line the reference page prints, and a test compares the page with this file.
"""

from __future__ import annotations

import os
import tomllib
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from modelport.domain.errors import InvalidInput

WORKERS_MAX = 4
"""Workers where none are asked for; further ones are a decision."""


def _setting(default: Any, doc: str) -> Any:
    return field(default=default, metadata={"doc": doc})


def default_home() -> Path:
    """Return the XDG data directory's `modelport` folder."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "modelport"


def default_cache() -> Path:
    """Return the XDG cache directory's `modelport` folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "modelport"


@dataclass(frozen=True, slots=True)
class Settings:
    """One frozen tree of settings."""

    home: Path = field(
        default_factory=default_home, metadata={"doc": "Folder of all state; one platform per home."}
    )
    cache: Path = field(
        default_factory=default_cache,
        metadata={"doc": "Folder of what can be made again (compiled code), shared by this user's homes."},
    )
    host: str = _setting("127.0.0.1", "Address all ports bind to; anything but loopback needs tokens.")
    port: int = _setting(8090, "Control port; 0 picks a free one.")
    inference_port: int = _setting(8080, "Inference port; 0 picks a free one.")
    grpc_port: int = _setting(
        -1, "Port of predictions over gRPC (needs `modelport[grpc]`); 0 picks a free one, -1: no gRPC."
    )
    grpc_calls_max: int = _setting(
        1024, "Calls over gRPC that are worked on at once; further ones get RESOURCE_EXHAUSTED."
    )
    workers: int = _setting(0, "Inference workers; 0 means min(cores, 4).")
    database_url: str = _setting("", "SQLAlchemy URL of the records; empty: SQLite in the home.")
    token_file: str = _setting(
        "", "File of bearer tokens, one per line: `NAME SCOPE[,SCOPE] SHA256-OF-TOKEN`; empty: none."
    )
    key_file: str = _setting(
        "",
        "File of AWS keys, one per line: `NAME SCOPE[,SCOPE] ACCESS-KEY-ID SECRET-ACCESS-KEY`; needs "
        "`token_file`; empty: none.",
    )
    allow_test_reset: int = _setting(
        0, "1: `POST /moto-api/reset` on the control port empties the platform. For test suites only."
    )
    allowed_hosts: str = _setting("", "Further Host names accepted, separated by commas.")
    body_bytes_max: int = _setting(64 << 20, "Largest request body, in bytes.")
    unpacked_ratio_max: int = _setting(
        100,
        "Bytes a packed body (gzip, deflate, zstd, npz) may unpack to for each byte sent, beyond its first "
        "MiB; `body_bytes_max` holds after unpacking too.",
    )
    artifact_bytes_max: int = _setting(8 << 30, "Largest uploaded file of a model, in bytes.")
    header_bytes_max: int = _setting(32 << 10, "Largest request head, in bytes.")
    header_timeout_s: float = _setting(10.0, "Seconds a client may take to send a request's head.")
    body_timeout_s: float = _setting(30.0, "Seconds a client may pause while sending a body.")
    body_bytes_per_s_min: int = _setting(
        1024, "Bytes of a body that earn a second of that pause; who sends less for long gets 408."
    )
    bodies_bytes_max: int = _setting(
        256 << 20,
        "Bytes of requests that one worker keeps: incomplete bodies, large ones (64 KiB) until they are "
        "answered, what waits behind them; further ones get 503. At least `body_bytes_max`.",
    )
    idle_timeout_s: float = _setting(75.0, "Seconds an idle connection is kept.")
    write_timeout_s: float = _setting(30.0, "Seconds a client may pause while reading a reply.")
    reply_bytes_per_s_min: int = _setting(
        4096, "Bytes of a reply that earn a second of that pause; who reads less for long is cut."
    )
    pipelined_requests_max: int = _setting(
        128, "Unanswered requests of one connection; further ones are not read until then."
    )
    request_timeout_s: float = _setting(60.0, "Deadline of a prediction, in seconds.")
    connections_max: int = _setting(10_000, "Open connections of one worker; further ones get 503.")
    pending_requests_max: int = _setting(
        1024, "Requests of one endpoint waiting in one worker; further ones get 503."
    )
    async_requests_max: int = _setting(
        10_000, "Asynchronous requests of one endpoint that wait for their turn; further ones get 503."
    )
    replica_requests_max: int = _setting(
        64, "Requests that one worker has open at one replica; further ones wait for room."
    )
    replica_reply_bytes_max: int = _setting(
        64 << 20, "Largest reply of a replica, in bytes; a larger one is a ModelError. Streams have no limit."
    )
    replica_start_timeout_s: float = _setting(
        480.0, "Seconds a replica of custom code may take to load its model, where a variant says no other."
    )
    asked_replicas_max: int = _setting(
        16,
        "Replicas of multi-model and serverless variants that run at one time, on this machine; of more, "
        "those asked longest ago end.",
    )
    serverless_idle_s: float = _setting(
        300.0, "Seconds after which a serverless variant that nobody asks has no replica any more."
    )
    replica_isolation: str = _setting(
        "best",
        "What custom code must run in: `bubblewrap`, `namespaces` or `limits`; `best`: the best that works.",
    )
    image_file: str = _setting(
        "", "Table of container images and what stands for them here; empty: `images.toml` in the home."
    )
    worker_memory_bytes_max: int = _setting(
        0, "Memory one worker may ask for; a call that wants more fails. 0: three quarters of the machine's."
    )
    hang_timeout_s: float = _setting(
        10.0, "Seconds a worker's loop may stand still in a model's call before the worker is replaced."
    )
    batch_rows_max: int = _setting(256, "Rows of several requests that share one call of a model.")
    batch_difference_max: float = _setting(
        0.0,
        "How much answers may depend on the requests that share a call, as a share of max(1, |answer|); "
        "a model that was measured to depend on them more runs its requests one by one.",
    )
    deployment_wait_scale: float = _setting(
        1.0, "What the waits of deployment configs are multiplied by; other than 1 for tests of programs."
    )
    drain_timeout_s: float = _setting(30.0, "Seconds to wait for open requests at a stop or switch.")
    drain_linger_s: float = _setting(
        2.0, "Seconds a quiet connection is kept at a stop, for a request that is on its way."
    )
    start_timeout_s: float = _setting(
        60.0, "Seconds a new process may take to be ready in an upgrade, before the old one is kept."
    )
    canary_timeout_s: float = _setting(60.0, "Seconds a model may take to load and warm up once.")
    canary_memory_bytes_max: int = _setting(8 << 30, "Address space of the process that tries a model first.")
    model_memory_bytes_max: int = _setting(
        0,
        "Memory of one worker for models, in bytes; those idle longest leave it beyond that, and come back "
        "when asked. 0: half of the machine's (or container's) memory, divided by the workers.",
    )
    cold_wait_s: float = _setting(
        30.0, "Seconds a request waits for a model that is loaded for it; then it gets 503."
    )
    cold_requests_max: int = _setting(
        1024, "Requests of one worker waiting for models that are being loaded; further ones get 503."
    )
    start_load_s: float = _setting(
        2.0, "Seconds a starting worker loads models before it serves; the others follow while it serves."
    )
    capture_max_bytes: int = _setting(1 << 30, "Captured bytes kept for each endpoint.")
    capture_max_age_days: float = _setting(30.0, "Days captured records are kept.")
    capture_queue_records: int = _setting(10_000, "Captured records waiting to be written, for each worker.")
    batch_memory_bytes: int = _setting(64 << 20, "Memory a batch job aims to keep for rows in flight.")
    s3_endpoint_url: str = _setting(
        "",
        "URL of the S3 that archives of models lie in, and that asynchronous requests read and write; empty: "
        "this platform's own. AWS keys come from the environment or ~/.aws; needs the extra `s3`.",
    )
    log_level: str = _setting("info", "debug, info, warning or error.")

    @property
    def worker_count(self) -> int:
        """Return how many inference workers `workers` means."""
        return self.workers or min(os.cpu_count() or 1, WORKERS_MAX)

    @property
    def kernels(self) -> Path:
        """Return the folder of machine code compiled on this machine (mode 0700)."""
        return self.cache / "kernels"

    @property
    def image_table(self) -> Path:
        """Return the table of container images; it need not be there."""
        return Path(self.image_file).expanduser() if self.image_file else self.home / "images.toml"

    @property
    def layout(self) -> HomeLayout:
        """Return the folders of this home."""
        return HomeLayout(self.home)


@dataclass(frozen=True, slots=True)
class HomeLayout:
    """Where things lie inside a home. Pure paths; nothing is created here."""

    home: Path

    @property
    def lock(self) -> Path:
        """Return the file whose lock says that a platform runs on this home."""
        return self.home / "lock"

    @property
    def database(self) -> Path:
        """Return the SQLite file."""
        return self.home / "modelport.db"

    @property
    def artifacts(self) -> Path:
        """Return the content-addressed store."""
        return self.home / "artifacts"

    @property
    def run(self) -> Path:
        """Return the folder of everything that belongs to running processes (mode 0700)."""
        return self.home / "run"

    @property
    def endpoint_file(self) -> Path:
        """Return the file with the URLs and the supervisor's pid."""
        return self.run / "endpoint.json"

    @property
    def processes_file(self) -> Path:
        """Return the supervisor's process table as JSON: names, pids, states, restarts."""
        return self.run / "processes.json"

    @property
    def upgrade_request_file(self) -> Path:
        """Return what `modelport upgrade` asks the supervisor for."""
        return self.run / "upgrade-request.json"

    @property
    def takeover_file(self) -> Path:
        """Return what a supervisor leaves to the program that takes its place in the same process."""
        return self.run / "takeover.json"

    @property
    def feed_socket(self) -> Path:
        """Return the Unix socket of the feed."""
        return self.run / "feed.sock"

    @property
    def inference_socket(self) -> Path:
        """Return the Unix socket of the inference workers."""
        return self.run / "inference.sock"

    @property
    def routes(self) -> Path:
        """Return the folder of route tables."""
        return self.run / "routes"

    @property
    def replicas_file(self) -> Path:
        """Return the list of replicas that should run."""
        return self.run / "replicas.json"

    @property
    def unpacked(self) -> Path:
        """Return the folder of archives that custom code needs as files, by their digest."""
        return self.home / "unpacked"

    @property
    def replicas(self) -> Path:
        """Return the folder of the replicas' Unix sockets (mode 0700)."""
        return self.run / "replicas"

    @property
    def marks(self) -> Path:
        """Return the folder of loading marks: `{worker index}-{digest}`."""
        return self.run / "marks"

    @property
    def flights(self) -> Path:
        """Return the folder of what workers' threads run at this moment."""
        return self.run / "flights"

    @property
    def suspects(self) -> Path:
        """Return the folder of requests that were in flight when a worker died."""
        return self.run / "suspects"

    @property
    def metrics(self) -> Path:
        """Return the folder of metric slots."""
        return self.run / "metrics"

    @property
    def captures(self) -> Path:
        """Return the folder of captured traffic."""
        return self.home / "captures"

    @property
    def labels(self) -> Path:
        """Return the folder of labels."""
        return self.home / "labels"

    @property
    def jobs(self) -> Path:
        """Return the folder of job folders."""
        return self.home / "jobs"

    @property
    def logs(self) -> Path:
        """Return the folder of process logs."""
        return self.home / "logs"

    @property
    def log_marks(self) -> Path:
        """Return the folder of the times of replicas' logs: `{endpoint}/{variant}/{replica}`."""
        return self.home / "log-marks"


def read_settings(
    flags: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Settings:
    """Merge the sources.

    Args:
        flags: Values from the command line; None values count as not given.
        environment: Variables; None reads the process's own.
        folder: Where to look for `modelport.toml` and `pyproject.toml`; None is the current one.

    Raises:
        InvalidInput: An unknown key in a file, or a value of the wrong type; names the source.
    """
    known = {item.name: item for item in fields(Settings)}
    types = typing.get_type_hints(Settings)
    merged: dict[str, Any] = {}

    def take(name: str, value: Any, source: str) -> None:
        merged[name] = _convert(types[name], value, f"{name} ({source})")

    for path, values in _files(folder or Path.cwd()):
        for name, value in values.items():
            if name not in known:
                raise InvalidInput(
                    f"unknown setting {name!r} in {path}", hint="see docs/reference/settings.md for the names"
                )
            take(name, value, str(path))
    variables = os.environ if environment is None else environment
    for name in known:
        variable = f"MODELPORT_{name.upper()}"
        if variable in variables:
            take(name, variables[variable], variable)
    for name, value in (flags or {}).items():
        if value is not None:
            take(name, value, "flag")
    return Settings(**merged)


def _files(folder: Path) -> list[tuple[Path, dict[str, Any]]]:
    found = []
    for name in ("pyproject.toml", "modelport.toml"):
        path = folder / name
        if not path.is_file():
            continue
        try:
            document = tomllib.loads(path.read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InvalidInput(f"{path} is not valid TOML: {error}") from error
        if name == "pyproject.toml":
            document = document.get("tool", {}).get("modelport", {})
        found.append((path, document))
    return found


def _convert(kind: Any, value: Any, source: str) -> Any:
    if isinstance(value, bool):
        raise InvalidInput(f"setting {source} is {value!r}, expected {kind.__name__}")
    if kind is Path:
        return Path(str(value)).expanduser().absolute()
    try:
        return kind(value)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"setting {source} is {value!r}, expected {kind.__name__}") from error
