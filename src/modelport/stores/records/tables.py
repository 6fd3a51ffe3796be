"""The tables. Documents are JSON text; times are RFC 3339 text in UTC of one width, so they sort as text.

A change here needs a new file in `migrations/versions`; a test compares the two.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, Integer, LargeBinary, MetaData, String, Table, Text

metadata = MetaData()

# Names sort by their bytes on both databases, so that a page ends at the same place.
_Name = String(160).with_variant(String(160, collation="C"), "postgresql")

resources = Table(
    "resources",
    metadata,
    Column("kind", String(40), primary_key=True),
    Column("name", _Name, primary_key=True),
    Column("parent", _Name, nullable=True),
    Column("spec", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("modelport", Text, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("observed_generation", Integer, nullable=False),
    Column("created_at", String(40), nullable=False),
    Column("modified_at", String(40), nullable=False),
    Column("digest", String(64), nullable=False),  # of the row's content: a flipped bit is seen
    Column("lease_owner", String(200), nullable=True),
    Column("lease_token", String(40), nullable=True),
    Column("lease_until", Float, nullable=True),  # seconds since the epoch
)
Index("resources_parent", resources.c.kind, resources.c.parent)

events = Table(
    "events",
    metadata,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("at", String(40), nullable=False),
    Column("principal", String(200), nullable=False),
    Column("verb", String(40), nullable=False),
    Column("kind", String(40), nullable=False),
    Column("name", _Name, nullable=False),
    Column("message", Text, nullable=False),
)
Index("events_of_resource", events.c.kind, events.c.name, events.c.sequence)

counters = Table(
    "counters",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("value", BigInteger, nullable=False),
)

buckets = Table(
    "buckets",
    metadata,
    Column("name", _Name, primary_key=True),
    Column("created_at", String(40), nullable=False),
)

# Keys are any text: as UTF-8 bytes they sort as S3 sorts them, on every database.
objects = Table(
    "objects",
    metadata,
    Column("bucket", _Name, primary_key=True),
    Column("key", LargeBinary, primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("etag", String(80), nullable=False),
    Column("modified_at", String(40), nullable=False),
    Column("headers", Text, nullable=False),
    Column("tags", Text, nullable=False),
)

uploads = Table(
    "uploads",
    metadata,
    Column("upload_id", String(40), primary_key=True),
    Column("bucket", _Name, nullable=False),
    Column("key", LargeBinary, nullable=False),
    Column("headers", Text, nullable=False),
    Column("tags", Text, nullable=False),
    Column("created_at", String(40), nullable=False),
)

parts = Table(
    "parts",
    metadata,
    Column("upload_id", String(40), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("digest", String(64), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("etag", String(80), nullable=False),
    Column("modified_at", String(40), nullable=False),
)

metric_series = Table(
    "metric_series",
    metadata,
    Column("digest", String(64), primary_key=True),  # of what names it
    Column("namespace", String(255), nullable=False),
    Column("name", String(255), nullable=False),
    Column("dimensions", Text, nullable=False),
    Column("seen_count", Float, nullable=False),  # of the counter it is made of, when it was read last
    Column("seen_total", Float, nullable=False),
)

metric_samples = Table(
    "metric_samples",
    metadata,
    Column("series", String(64), primary_key=True),
    Column("minute", BigInteger, primary_key=True, autoincrement=False),  # its start, seconds since 1970
    Column("count", Float, nullable=False),
    Column("total", Float, nullable=False),
    Column("least", Float, nullable=False),
    Column("most", Float, nullable=False),
)
Index("metric_samples_age", metric_samples.c.minute)

invocations = Table(
    "invocations",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("endpoint", _Name, nullable=False),
    Column("document", Text, nullable=False),
)
Index("invocations_of_endpoint", invocations.c.endpoint, invocations.c.number)

# What a run told of itself, point by point, and each metric's summary, so that describing a run is cheap.
run_points = Table(
    "run_points",
    metadata,
    Column("component", _Name, primary_key=True),
    Column("metric", String(64), primary_key=True),  # digest of its name
    Column("number", BigInteger, primary_key=True, autoincrement=False),  # in the order they came
    Column("at", Float, nullable=False),  # seconds since 1970
    Column("step", BigInteger, nullable=True),
    Column("value", Float, nullable=False),
)

run_metrics = Table(
    "run_metrics",
    metadata,
    Column("component", _Name, primary_key=True),
    Column("metric", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("mean", Float, nullable=False),
    Column("spread", Float, nullable=False),  # sum of squared distances from the mean
    Column("least", Float, nullable=False),
    Column("most", Float, nullable=False),
    Column("last", Float, nullable=False),
    Column("last_at", Float, nullable=False),
)

EMPTIED = (resources, buckets, objects, uploads, parts, invocations, run_points, run_metrics)
"""What a reset forgets, besides metrics. History stays, and so do numbers: a table's is never used again."""
