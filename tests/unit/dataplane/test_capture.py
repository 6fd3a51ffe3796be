"""Copies of traffic are whole, counted exactly, and gone when their time is over."""

from __future__ import annotations

import base64
import json
import os
import threading
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelport.dataplane import capture as module
from modelport.dataplane.capture import Capture
from modelport.dataplane.retention import Captured, Retention, choose_expired
from modelport.settings import Settings
from modelport.telemetry import metrics
from modelport.telemetry.slots import MetricSlot, read_totals
from modelport.wire.capture import CaptureRecord, RecordWriter

START = datetime(2026, 3, 1, 10, 59, 59, 250_000, tzinfo=UTC)


class HandClock:
    """A clock whose hands the test turns."""

    def __init__(self, now=START):
        self.time = now
        self.seconds = 0.0

    def now(self):
        return self.time

    def monotonic(self):
        return self.seconds

    def sleep(self, seconds):
        self.seconds += seconds


VARIANT = SimpleNamespace(endpoint="flights", route=SimpleNamespace(variant="v3", model_version="flights:3"))


class Desk:
    """A capture with its folder, clock and counters."""

    def __init__(self, tmp_path, **settings):
        self.folder = tmp_path / "captures"
        self.metrics = tmp_path / "metrics"
        self.slot = MetricSlot(self.metrics, "w")
        self.clock = HandClock()
        self.capture = Capture(
            self.folder, replace(Settings(home=tmp_path), **settings), self.clock, self.slot
        )

    def offer(self, number, *, asked=("application/json", b"[1]"), answered=("application/json", b"{}")):
        self.capture.offer(
            VARIANT, prediction_id=b"p-%d" % number, inference_id=None, asked=asked, answered=answered
        )

    def close(self):
        self.capture.close()
        self.slot.close()

    def files(self):
        return sorted(self.folder.rglob("*.jsonl"))

    def records(self):
        return [
            msgspec.json.decode(line, type=CaptureRecord)
            for path in self.files()
            for line in path.read_bytes().splitlines()
        ]

    def counted(self, reason=None):
        totals = read_totals(self.metrics)
        if reason is None:
            return totals.get((metrics.CAPTURED, ("flights", "v3")), [0])[0]
        return totals.get((metrics.CAPTURE_DROPPED, ("flights", "v3", reason)), [0])[0]


def test_records_and_layout_are_sagemakers(tmp_path):
    desk = Desk(tmp_path)
    desk.capture.offer(
        VARIANT,
        prediction_id=b"p-1",
        inference_id=b"order-7",
        asked=("text/csv", b"1,2\n"),
        answered=("application/x-npy", b"\x93NUMPY"),
    )
    desk.close()
    (path,) = desk.files()
    assert path.parent == desk.folder / "flights/v3/2026/03/01/10"
    assert path.name.startswith("59-59-250-")
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_text()) == {
        "captureData": {
            "endpointInput": {
                "observedContentType": "text/csv",
                "mode": "INPUT",
                "data": "1,2\n",
                "encoding": "CSV",
            },
            "endpointOutput": {
                "observedContentType": "application/x-npy",
                "mode": "OUTPUT",
                "data": base64.b64encode(b"\x93NUMPY").decode(),
                "encoding": "BASE64",
            },
        },
        "eventMetadata": {
            "eventId": "p-1",
            "inferenceTime": "2026-03-01T10:59:59.250Z",
            "inferenceId": "order-7",
            "modelVersion": "flights:3",
        },
        "eventVersion": "0",
    }


def test_one_side_alone_and_text_that_is_none(tmp_path):
    desk = Desk(tmp_path)
    desk.offer(1, answered=None)
    desk.offer(2, asked=(None, b"\xff\xfe"))
    desk.close()
    first, second = desk.records()
    assert first.capture_data.endpoint_output is None
    assert second.capture_data.endpoint_input.encoding == "BASE64"
    assert second.capture_data.endpoint_input.observed_content_type == "application/json"


TYPES = st.sampled_from(["application/json", "text/csv; charset=utf-8", "application/x-npy", 'a/json%b"'])
COPIES = st.none() | st.tuples(TYPES, st.binary() | st.text().map(str.encode))
MOMENTS = st.one_of(
    st.datetimes(max_value=datetime(9999, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - bounds are naive
    st.integers(0, 3_000).map(lambda microseconds: START + timedelta(microseconds=microseconds)),
)
IDS = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1).map(str.encode)


@given(
    st.lists(
        st.tuples(
            COPIES,
            COPIES,
            IDS,
            st.none() | IDS,
            MOMENTS,
        )
    )
)
def test_lines_are_what_encoding_the_record_gives(requests):
    writer = RecordWriter()
    for asked, answered, event_id, inference_id, at in requests:
        line = writer.line(
            asked, answered, at, event_id=event_id, inference_id=inference_id, model_version="a:1"
        )
        record = msgspec.json.decode(line, type=CaptureRecord)
        assert line == msgspec.json.encode(record) + b"\n"
        said = record.event_metadata
        assert said.event_id.encode() == event_id
        assert said.inference_id == (None if inference_id is None else inference_id.decode())
        assert said.inference_time == at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        for copy, side in (
            (asked, record.capture_data.endpoint_input),
            (answered, record.capture_data.endpoint_output),
        ):
            if copy is None:
                assert side is None
            else:
                data = base64.b64decode(side.data) if side.encoding == "BASE64" else side.data.encode()
                assert (side.observed_content_type, data) == copy


def test_what_was_offered_is_captured_or_dropped_exactly(tmp_path, monkeypatch):
    gate = threading.Event()
    real = Capture._write_queued

    def held(self):
        gate.wait(10)
        real(self)

    monkeypatch.setattr(Capture, "_write_queued", held)
    desk = Desk(tmp_path, capture_queue_records=100)
    for number in range(1000):
        desk.offer(number)
    gate.set()
    desk.close()
    dropped = desk.counted("queue_full")
    assert dropped > 0
    assert desk.counted() + dropped == 1000
    assert len(desk.records()) == desk.counted()


def test_a_queue_is_bounded_in_bytes_too(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "QUEUED_BYTES_MAX", 1000)
    desk = Desk(tmp_path)
    desk.offer(1, asked=("text/csv", b"1" * 2000))
    desk.offer(2)
    desk.close()
    assert (desk.counted(), desk.counted("queue_full")) == (1, 1)


def test_a_folder_that_cannot_be_written_costs_copies_only(tmp_path):
    (tmp_path / "captures").write_text("in the way")
    desk = Desk(tmp_path)
    desk.offer(1)
    desk.offer(2)
    desk.close()
    assert (desk.counted(), desk.counted("write_failed")) == (0, 2)


def test_a_new_hour_is_a_new_file(tmp_path):
    desk = Desk(tmp_path)
    desk.offer(1)
    desk.clock.time += timedelta(seconds=1)
    desk.offer(2)
    desk.close()
    assert [str(path.parent.relative_to(desk.folder)) for path in desk.files()] == [
        "flights/v3/2026/03/01/10",
        "flights/v3/2026/03/01/11",
    ]


def test_a_torn_tail_loses_one_line(tmp_path):
    desk = Desk(tmp_path)
    for number in range(5):
        desk.offer(number)
    desk.close()
    (path,) = desk.files()
    whole = path.read_bytes()
    for cut in range(len(whole)):
        lines = whole[:cut].split(b"\n")
        for line in lines[:-1]:
            msgspec.json.decode(line, type=CaptureRecord)
        assert len(lines) - 1 == whole[:cut].count(b"\n")


def test_a_file_removed_by_retention_is_opened_anew(tmp_path):
    desk = Desk(tmp_path)
    desk.offer(1)
    _wait(lambda: desk.files() and desk.files()[0].stat().st_size)
    desk.files()[0].unlink()
    desk.offer(2)
    desk.close()
    assert [record.event_metadata.event_id for record in desk.records()] == ["p-2"]


FILES = st.lists(
    st.tuples(st.integers(0, 200), st.integers(0, 1000)).map(
        lambda pair: Captured(
            Path(f"{pair[0]:03}-{pair[1]}"),
            START.replace(minute=0, second=0, microsecond=0) - timedelta(hours=pair[0]),
            pair[1],
        )
    ),
    max_size=30,
)


@given(FILES, st.integers(0, 200), st.integers(0, 20_000))
def test_retention_keeps_the_newest_that_fit(files, hours, max_bytes):
    expired = choose_expired(files, START, max_age=timedelta(hours=hours), max_bytes=max_bytes)
    kept = list(files)
    for file in expired:
        kept.remove(file)
    assert sum(file.size for file in kept) <= max_bytes
    assert all(START - (file.hour + timedelta(hours=1)) <= timedelta(hours=hours) for file in kept)
    young = [f for f in expired if START - (f.hour + timedelta(hours=1)) <= timedelta(hours=hours)]
    if young:  # went only because there was too much
        oldest_kept = min((file.hour for file in kept), default=None)
        assert oldest_kept is None or max(file.hour for file in young) <= oldest_kept
        assert sum(f.size for f in kept) + max(young, key=lambda f: (f.hour, f.path.name)).size > max_bytes


def test_retention_is_enforced_by_one_process(tmp_path):
    for hour in range(5):
        path = tmp_path / f"e/v/2026/03/01/0{hour}/x.jsonl"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"a" * 100)
    stranger = tmp_path / "e/v/notes.txt"
    stranger.write_text("mine")
    settings = replace(Settings(home=tmp_path), capture_max_bytes=250)
    first, second = (Retention(tmp_path, settings, HandClock()) for _ in range(2))
    with closing(first), closing(second):
        assert first._hold()
        second.enforce_when_due()
        assert len(list(tmp_path.rglob("*.jsonl"))) == 5
        first.enforce_when_due()
    left = sorted(path.parent.name for path in tmp_path.rglob("*.jsonl"))
    assert left == ["03", "04"]
    assert not (tmp_path / "e/v/2026/03/01/00").exists()
    assert stranger.exists()


@pytest.mark.parametrize("age_days", [1.0, 40.0])
def test_old_files_go_by_age(tmp_path, age_days):
    clock = HandClock(START + timedelta(days=10))
    path = tmp_path / "e/v/2026/03/01/10/x.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"a")
    settings = replace(Settings(home=tmp_path), capture_max_age_days=age_days)
    with closing(Retention(tmp_path, settings, clock)) as retention:
        retention.enforce_when_due()
    assert path.exists() == (age_days > 10)
    assert tmp_path.exists()


def test_a_disk_that_fills_leaves_no_half_line(tmp_path, monkeypatch):
    desk = Desk(tmp_path)
    real = os.write
    state = {"fail": False}

    def write(descriptor, data):
        if state["fail"] and b"captureData" in bytes(data[:40]):
            real(descriptor, data[:30])
            raise OSError(28, "No space left on device")
        return real(descriptor, data)

    monkeypatch.setattr(module.os, "write", write)
    desk.offer(1)
    _wait(lambda: desk.files() and desk.files()[0].stat().st_size)
    state["fail"] = True
    desk.offer(2)
    desk.close()
    assert [record.event_metadata.event_id for record in desk.records()] == ["p-1"]
    assert desk.counted("write_failed") == 1


def _wait(condition):
    done = threading.Event()
    for _ in range(1000):
        if condition():
            return
        done.wait(0.005)
    raise AssertionError
