"""One malformed request, and what its kinds share."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass

from fakes.signatures import FLIGHT, FLIGHTS

JSON = "application/json"
JSON_LINES = "application/jsonlines"
CSV = "text/csv"
NPY = "application/x-npy"
NPZ = "application/x-npz"
ARROW = "application/vnd.apache.arrow.stream"
TENSORS = "application/vnd.sagemaker-triton.binary+json"
KINDS = ("syntax", "shape", "type", "missing", "extra", "range", "encoding", "size", "depth")
NAMES = [feature.name for feature in FLIGHTS.features]
REQUIRED = [feature.name for feature in FLIGHTS.features if not feature.missing]
MISSPELT = ("dep_huor", "Carrier", "dist", "x", "", "origin ", "tempp", "é", "instances", "a" * 5000)


@dataclass(frozen=True)
class Malformed:
    """One request, and where its fault lies: `row` and `feature` are None where there is none to name.

    `encoding` is how the body is packed, as a Content-Encoding says it.
    """

    content_type: str
    kind: str
    name: str
    body: bytes
    row: int | None = None
    feature: str | None = None
    encoding: str | None = None

    def __str__(self) -> str:
        return f"{self.content_type.partition(';')[0]} {self.kind}: {self.name}"


def whole_bodies() -> list[tuple[str, str, bytes]]:
    """Return (kind, name, body) of bodies that are wrong in any encoding of text."""
    good = json.dumps(FLIGHT)
    return [
        ("encoding", "UTF-16", good.encode("utf-16")),
        ("encoding", "UTF-32", good.encode("utf-32")),
        ("encoding", "gzip without saying so", gzip.compress(good.encode(), mtime=0)),
        ("encoding", "bytes at random", bytes(range(128, 256))),
        ("size", "nothing", b""),
        ("size", "blanks", b" \n\t " * 1000),
    ]
