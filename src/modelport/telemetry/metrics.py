"""Every metric there is: name, kind, labels, and the line of help Prometheus shows.

Labels take values from route tables and small fixed sets only, never from a request, so that a client
cannot make series.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

DURATION_BOUNDS_S = (
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
)
ROW_BOUNDS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0, 16384.0, 65536.0)
NANOSECONDS = 1_000_000_000


class Kind(StrEnum):
    """Prometheus's word for how a metric behaves."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Args:
        kind: How it behaves.
        help: One line for people.
        labels: Names of its labels.
        bounds: Upper bounds of a histogram's buckets, inclusive, ascending; empty otherwise.
        scale: What a histogram's observations are multiplied with before they are summed as integers.
    """

    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    scale: int = 1

    @property
    def width(self) -> int:
        """Return how many integers a series of it has: buckets, the last bucket, the sum; or one."""
        return len(self.bounds) + 2 if self.bounds else 1


_VARIANT = ("endpoint", "variant", "version")

REQUESTS = "modelport_requests_total"
REQUEST_DURATION = "modelport_request_duration_seconds"
INFERENCE_DURATION = "modelport_inference_duration_seconds"
BATCH_SIZE = "modelport_batch_size"
INFLIGHT = "modelport_inflight_requests"
CAPTURED = "modelport_captured_total"
CAPTURE_DROPPED = "modelport_capture_dropped_total"
SHADOW_DROPPED = "modelport_shadow_dropped_total"
HTTP_REFUSED = "modelport_http_refused_total"
CONNECTIONS_CUT = "modelport_connections_cut_total"
RSS = "modelport_worker_rss_bytes"
CONNECTIONS = "modelport_connections"
MODELS = "modelport_models_in_memory"
MODEL_MEMORY = "modelport_model_memory_bytes"
MODEL_LOADS = "modelport_model_loads_total"
MODEL_LOAD_DURATION = "modelport_model_load_duration_seconds"
MODEL_UNLOADS = "modelport_model_unloads_total"
COLD_REQUESTS = "modelport_cold_requests_total"
NONFINITE = "modelport_nonfinite_answers_total"
HOSTED_REQUESTS = "modelport_hosted_requests_total"
BUILD_INFO = "modelport_build_info"

METRICS: dict[str, Metric] = {
    REQUESTS: Metric(Kind.COUNTER, "Predictions answered, by status code.", (*_VARIANT, "protocol", "code")),
    REQUEST_DURATION: Metric(
        Kind.HISTOGRAM,
        "Seconds from a request's last byte to its reply.",
        _VARIANT,
        DURATION_BOUNDS_S,
        NANOSECONDS,
    ),
    INFERENCE_DURATION: Metric(
        Kind.HISTOGRAM, "Seconds of one call of a model.", _VARIANT, DURATION_BOUNDS_S, NANOSECONDS
    ),
    BATCH_SIZE: Metric(Kind.HISTOGRAM, "Rows that shared one call of a model.", _VARIANT, ROW_BOUNDS),
    INFLIGHT: Metric(Kind.GAUGE, "Predictions begun and not yet answered."),
    CAPTURED: Metric(Kind.COUNTER, "Requests whose copy was written.", ("endpoint", "variant")),
    CAPTURE_DROPPED: Metric(
        Kind.COUNTER,
        "Requests chosen for capture whose copy was not written.",
        ("endpoint", "variant", "reason"),
    ),
    SHADOW_DROPPED: Metric(
        Kind.COUNTER, "Copies for a shadow variant that were not asked.", ("endpoint", "variant")
    ),
    HTTP_REFUSED: Metric(Kind.COUNTER, "Requests refused before they reached an endpoint.", ("code",)),
    CONNECTIONS_CUT: Metric(
        Kind.COUNTER,
        "Connections ended without a reply: silent, slow_reader, or crowded.",
        ("reason",),
    ),
    RSS: Metric(Kind.GAUGE, "Resident memory of one worker.", ("worker",)),
    CONNECTIONS: Metric(Kind.GAUGE, "Open connections."),
    MODELS: Metric(Kind.GAUGE, "Models in memory, of all workers."),
    MODEL_MEMORY: Metric(Kind.GAUGE, "Bytes that the models in memory took when they were loaded."),
    MODEL_LOADS: Metric(Kind.COUNTER, "Models loaded, or found not to load.", ("outcome",)),
    MODEL_LOAD_DURATION: Metric(
        Kind.HISTOGRAM,
        "Seconds a model took to load and to answer for the first time.",
        bounds=DURATION_BOUNDS_S,
        scale=NANOSECONDS,
    ),
    MODEL_UNLOADS: Metric(
        Kind.COUNTER, "Models that left memory: to make room, or because no table names them.", ("reason",)
    ),
    COLD_REQUESTS: Metric(
        Kind.COUNTER, "Requests that met a model which was not in memory, by what came of it.", ("outcome",)
    ),
    NONFINITE: Metric(Kind.COUNTER, "Answers with a NaN or an infinity among their numbers.", _VARIANT),
    HOSTED_REQUESTS: Metric(
        Kind.COUNTER, "Requests that met a model which was not hosted, by what came of it.", ("outcome",)
    ),
    BUILD_INFO: Metric(Kind.GAUGE, "Always 1; the version runs.", ("version",)),
}
