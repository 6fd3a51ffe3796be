"""Captures and labels as they lie on the disk: torn, foreign, late, shuffled and doubled."""

from __future__ import annotations

import json
from base64 import b64encode
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from modelport.jobs.captures import Window, read_captures, read_labels


def capture_line(event: str, at: str = "2013-07-01T00:00:00Z", body: str = "[1]") -> str:
    side = {"observedContentType": "application/json", "mode": "INPUT", "data": body, "encoding": "JSON"}
    metadata = {"eventId": event, "inferenceTime": at}
    return json.dumps(
        {"captureData": {"endpointInput": side}, "eventMetadata": metadata, "eventVersion": "0"}
    )


def label_line(row: str, label: object, received: str | None = None) -> str:
    metadata = {"eventId": row} if received is None else {"eventId": row, "receivedTime": received}
    truth = {"data": json.dumps(label), "encoding": "JSON"}
    return json.dumps({"groundTruthData": truth, "eventMetadata": metadata, "eventVersion": "0"})


def write(path: Path, *lines: str, tail: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines) + tail)


def test_a_torn_line_loses_that_line_only(tmp_path: Path) -> None:
    write(tmp_path / "2013/07/01/00/a.jsonl", capture_line("1"), tail=capture_line("torn")[:40])
    write(tmp_path / "2013/07/01/01/b.jsonl", "{}", "", "[1, 2]", capture_line("2"))
    bad: Counter[str] = Counter()
    found = list(read_captures(tmp_path, Window(), bad))
    assert [one.event_id for one in found] == ["1", "2"]
    assert found[0].asked == ("application/json", b"[1]")
    assert found[0].answered is None
    assert bad == {"unreadable capture lines": 3}


def test_bytes_come_back_from_base64_and_bad_base64_is_counted(tmp_path: Path) -> None:
    good = json.loads(capture_line("1"))
    good["captureData"]["endpointInput"] |= {"encoding": "BASE64", "data": b64encode(b"\x93NUMPY").decode()}
    worse = json.loads(capture_line("2"))
    worse["captureData"]["endpointInput"] |= {"encoding": "BASE64", "data": "!!"}
    write(tmp_path / "a.jsonl", json.dumps(good), json.dumps(worse))
    bad: Counter[str] = Counter()
    assert [one.asked for one in read_captures(tmp_path, Window(), bad)] == [
        ("application/json", b"\x93NUMPY")
    ]
    assert bad.total() == 1


def test_the_window_is_half_open(tmp_path: Path) -> None:
    moments = [f"2013-07-01T00:00:0{second}Z" for second in range(4)]
    write(tmp_path / "a.jsonl", *(capture_line(moment, moment) for moment in moments))
    window = Window(datetime(2013, 7, 1, 0, 0, 1, tzinfo=UTC), datetime(2013, 7, 1, 0, 0, 3, tzinfo=UTC))
    assert [one.event_id for one in read_captures(tmp_path, window, Counter())] == moments[1:3]


def test_the_last_received_label_wins_whatever_the_order_in_the_files(tmp_path: Path) -> None:
    write(
        tmp_path / "a.jsonl",
        label_line("1#0", "late", "2013-07-02T00:00:00Z"),
        label_line("1#0", "on time", "2013-07-01T00:00:00Z"),
        label_line("2#0", "on time"),
        label_line("2#0", "late"),
        label_line("3", 1),
        tail='{"groundTruthData": {"da',
    )
    bad: Counter[str] = Counter()
    labels = read_labels(tmp_path, bad)
    assert labels.by_row == {"1#0": "late", "2#0": "late", "3#0": 1}
    assert (labels.received, labels.doubled) == (5, 2)
    assert bad == {"unreadable label lines": 1}


def test_no_folder_is_no_labels(tmp_path: Path) -> None:
    assert read_labels(tmp_path / "absent", Counter()).by_row == {}
