"""Batch scoring: every format gives the same answers, bad rows are named, and a cut-off run goes on."""

from __future__ import annotations

import csv
import gzip
import io
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fakes.bundles import store_bundle
from fakes.classifier import classifier_bundle, label, on_time
from modelport.domain.clock import SystemClock
from modelport.jobs import transform
from modelport.stores.artifacts.local import LocalArtifacts
from modelport.wire.jobs import JobResult, TransformWork

Record = dict[str, Any]
MEMORY_BYTES = 1 << 20  # small, so that small inputs have many shards


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> LocalArtifacts:
    return LocalArtifacts(tmp_path_factory.mktemp("artifacts"))


@pytest.fixture(scope="module")
def digest(artifacts: LocalArtifacts) -> str:
    return store_bundle(artifacts, classifier_bundle())


def records(count: int) -> list[Record]:
    generator = np.random.default_rng(count)
    carriers = ["001", "AA", "UA", "new", None]
    return [
        {
            "flight": f"00{row}",
            "carrier": carriers[generator.integers(len(carriers))],
            "hour": int(generator.integers(24)),
            "distance": None if generator.random() < 0.1 else round(float(generator.random() * 30), 3),
            "remark": ["plain", 'a "quoted" word', "two\nlines", None][generator.integers(4)],
        }
        for row in range(count)
    ]


def write(path: Path, rows: list[Record]) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=700)
    elif path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path: Path) -> list[Record]:
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    if path.suffix == ".csv":
        return list(csv.DictReader(io.StringIO(path.read_text())))
    return [json.loads(line) for line in path.read_text().splitlines()]


class Runner:
    def __init__(self, artifacts: LocalArtifacts, digest: str, folder: Path) -> None:
        self._artifacts = artifacts
        self._digest = digest
        self.folder = folder
        folder.mkdir()

    def __call__(self, given: Path | str, output: Path | str, **options: Any) -> JobResult:
        stop = options.pop("stop", None)
        work = TransformWork(self._digest, "flights:1", str(given), str(output), **options)
        return transform.run(
            work,
            self.folder,
            self._artifacts,
            SystemClock(),
            stop=stop,
            memory_bytes=MEMORY_BYTES,
            threads=2,
        )


@pytest.fixture
def run(artifacts: LocalArtifacts, digest: str, tmp_path: Path) -> Runner:
    return Runner(artifacts, digest, tmp_path / "job")


def check_answers(rows: list[Record], answers: list[Record]) -> None:
    assert [answer["prediction"] for answer in answers] == [label(row) for row in rows]
    for row, answer in zip(rows, answers, strict=True):
        expected = on_time(row["carrier"], row["hour"], row["distance"])
        assert float(answer["probability_on time"]) == pytest.approx(expected, abs=1e-15)
        assert float(answer["probability_late"]) == pytest.approx(1 - expected, abs=1e-15)


@pytest.mark.parametrize("given", ["parquet", "csv", "jsonl"])
@pytest.mark.parametrize("wanted", ["parquet", "csv", "jsonl"])
@pytest.mark.parametrize("join", [False, True])
def test_every_format_to_every_format(
    given: str, wanted: str, *, join: bool, run: Runner, tmp_path: Path
) -> None:
    rows = records(2500)
    output = tmp_path / f"out.{wanted}"
    result = run(write(tmp_path / f"in.{given}", rows), output, join=join)
    assert result.failure_reason is None
    assert result.status == "Completed"
    assert result.detail["rows"] == result.progress.rows_done == 2500
    answers = read(output)
    check_answers(rows, answers)
    extra = list(answers[0])[: -3 if join else None]
    assert extra == (list(rows[0]) if join else ["prediction", "probability_late", "probability_on time"])
    if join:
        for name in ("flight", "carrier", "remark"):
            found = [answer[name] or None for answer in answers]
            assert found == [row[name] for row in rows], name
        assert [float(answer["hour"]) for answer in answers] == [row["hour"] for row in rows]
        if wanted == "parquet":
            types = {name: str(kind) for name, kind in zip(*_schema(output), strict=True)}
            assert types["distance"] == "double"
            assert types["hour"] == "int64"
            assert types["flight"] == types["carrier"] == "string"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["job", f"in.{given}", f"out.{wanted}"])


def _schema(path: Path) -> tuple[list[str], list[pa.DataType]]:
    schema = pq.read_schema(path)
    return schema.names, schema.types


def test_a_folder_gives_one_file_for_each_input_and_success_last(run: Runner, tmp_path: Path) -> None:
    source = tmp_path / "in"
    (source / "deep").mkdir(parents=True)
    first, second = records(900), records(1100)
    write(source / "b.csv", first)
    write(source / "deep" / "a.csv", second)
    (source / "_SUCCESS").touch()
    (source / ".hidden.csv").write_text("nothing")
    (source / "readme.txt").write_text("nothing")
    output = tmp_path / "out"
    result = run(source, output, output_format="jsonl")
    assert result.status == "Completed", result.failure_reason
    assert sorted(path.name for path in output.iterdir()) == [
        "_SUCCESS",
        "_manifest.json",
        "a.jsonl",
        "b.jsonl",
    ]
    check_answers(first, read(output / "b.jsonl"))
    check_answers(second, read(output / "a.jsonl"))
    manifest = json.loads((output / "_manifest.json").read_bytes())
    assert {file["file"]: file["rows"] for file in manifest["files"]} == {"a.jsonl": 1100, "b.jsonl": 900}


def test_a_folder_into_one_file(run: Runner, tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    first, second = records(900), records(1100)
    write(source / "1.parquet", first)
    write(source / "2.parquet", second)
    result = run(source, tmp_path / "all.parquet")
    assert result.status == "Completed", result.failure_reason
    check_answers(first + second, read(tmp_path / "all.parquet"))


def test_a_name_that_ends_with_a_slash_is_a_folder(run: Runner, tmp_path: Path) -> None:
    rows = records(10)
    result = run(write(tmp_path / "in.csv", rows), f"{tmp_path}/2013.csv/")
    assert result.status == "Completed", result.failure_reason
    check_answers(rows, read(tmp_path / "2013.csv" / "in.csv"))


def test_compressed_text_and_urls(run: Runner, tmp_path: Path) -> None:
    rows = records(3000)
    plain = write(tmp_path / "in.csv", rows)
    packed = tmp_path / "packed.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    result = run(packed, f"local://{tmp_path}/out/answers.csv")
    assert result.status == "Completed", result.failure_reason
    check_answers(rows, read(tmp_path / "out" / "answers.csv"))


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl"])
def test_an_input_without_rows_gives_an_output_without_rows(kind: str, run: Runner, tmp_path: Path) -> None:
    path = tmp_path / f"in.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(records(1)).slice(1), path)
    else:
        path.write_text("carrier,hour,distance\n" if kind == "csv" else "")
    result = run(path, tmp_path / "out.parquet")
    assert result.status == "Completed", result.failure_reason
    assert pq.read_table(tmp_path / "out.parquet").num_rows == 0
    assert result.progress.rows_done == 0


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl"])
def test_a_missing_feature_is_named_at_once(kind: str, run: Runner, tmp_path: Path) -> None:
    rows = [{"carrier": row["carrier"], "houre": row["hour"], "distance": 1.5} for row in records(2000)]
    result = run(write(tmp_path / f"in.{kind}", rows), tmp_path / "out.csv")
    assert result.status == "Failed"
    assert "hour" in str(result.failure_reason)
    assert not (tmp_path / "out.csv").exists()


BAD_CSV = {
    37: ("AA,abc,1.5", "hour"),
    1900: ("AA,24,1.5", "hour"),
    1901: ("AA,,1.5", "hour"),
    2400: ("AA,1", None),
    2401: ("AA,1,2,3", None),
}


@pytest.mark.parametrize("join", [False, True])
def test_rows_that_fail_are_told_and_the_others_keep_their_order(
    *, join: bool, run: Runner, tmp_path: Path
) -> None:
    rows = records(3000)
    lines = [f"{row['carrier'] or ''},{row['hour']},{row['distance'] or ''}" for row in rows]
    for number, (line, _) in BAD_CSV.items():
        lines[number] = line
    source = tmp_path / "in.csv"
    source.write_bytes("\r\n".join(["carrier,hour,distance", *lines]).encode())
    result = run(source, tmp_path / "out.csv", failed_rows_max=5, join=join)
    assert result.status == "Completed", result.failure_reason
    assert result.detail["failed_rows"] == 5
    told = read(tmp_path / "out.failed.jsonl")
    assert [(line["row"], line["feature"]) for line in told] == [
        (number, feature) for number, (_, feature) in BAD_CSV.items()
    ]
    good = [row for number, row in enumerate(rows) if number not in BAD_CSV]
    check_answers(good, read(tmp_path / "out.csv"))


def test_json_lines_that_fail(run: Runner, tmp_path: Path) -> None:
    rows = records(3000)
    lines = [json.dumps(row).encode() for row in rows]
    bad = {
        5: b"{torn",
        6: b"[1, 2]",
        1500: b'{"carrier": 1, "hour": 2, "distance": 3}',
        1501: b'{"carrier": "AA", "hour": 2.5, "distance": 3}',
        1502: b'{"carrier": "AA", "hour": 2, "distance": "3"}',
        1503: b'{"carrier": "\xff", "hour": 2, "distance": 3}',
        2999: b'{"carrier": "AA", "distance": 3}',
    }
    for number, line in bad.items():
        lines[number] = line
    source = tmp_path / "in.jsonl"
    source.write_bytes(b"\n".join(lines))
    result = run(source, tmp_path / "out.jsonl", failed_rows_max=10, join=True)
    assert result.status == "Completed", result.failure_reason
    told = read(tmp_path / "out.failed.jsonl")
    assert [line["row"] for line in told] == list(bad)
    good = [row for number, row in enumerate(rows) if number not in bad]
    answers = read(tmp_path / "out.jsonl")
    check_answers(good, answers)
    assert [{name: answer[name] for name in rows[0]} for answer in answers] == good


def test_the_first_bad_row_fails_the_job_by_default(run: Runner, tmp_path: Path) -> None:
    rows = records(2500)
    rows[1234]["hour"] = 99
    source = write(tmp_path / "in.parquet", rows)
    result = run(source, tmp_path / "out.parquet")
    assert result.status == "Failed"
    reason = str(result.failure_reason)
    assert "row 1234" in reason
    assert "'hour'" in reason
    assert "99" in reason
    assert "--failed-rows-max" in reason
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.parquet", "job"]
    assert sorted(path.name for path in run.folder.iterdir()) == ["plan.json", "progress.json"]


def test_a_stopped_job_goes_on_and_ends_the_same(
    artifacts: LocalArtifacts, digest: str, tmp_path: Path
) -> None:
    rows = records(6000)
    source = write(tmp_path / "in.csv", rows)
    Runner(artifacts, digest, tmp_path / "whole")(source, tmp_path / "whole.parquet")
    stopped = Runner(artifacts, digest, tmp_path / "stopped")
    asked = threading.Event()
    asked.set()
    assert stopped(source, tmp_path / "out.parquet", stop=asked).status == "Stopped"
    assert not (tmp_path / "out.parquet").exists()
    result = stopped(source, tmp_path / "out.parquet")
    assert result.status == "Completed"
    assert (tmp_path / "out.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    assert stopped(source, tmp_path / "out.parquet").detail["rows"] == 6000  # a third time does no harm


def test_a_changed_input_is_not_mixed_with_the_old(run: Runner, tmp_path: Path) -> None:
    source = write(tmp_path / "in.csv", records(3000))
    asked = threading.Event()
    asked.set()
    run(source, tmp_path / "out.csv", stop=asked)
    write(source, records(10))
    result = run(source, tmp_path / "out.csv")
    assert result.status == "Failed"
    assert "changed" in str(result.failure_reason)


@pytest.mark.parametrize(
    ("given", "output", "reason"),
    [
        ("nothing.csv", "out.csv", "no file or folder"),
        ("in.csv", "in.csv", "also an input"),
        ("in.csv", "full", "not empty"),
        ("in.csv", "out.csv.gz", "not packed as gzip"),
        ("in.txt", "out.csv", "cannot tell the format"),
        ("broken.parquet", "out.csv", "not a Parquet file"),
        ("doubled.csv", "out.csv", "twice"),
        ("foreign.csv", "out.csv", "none of which names a feature"),
    ],
)
def test_what_cannot_be_done_is_said(
    given: str, output: str, reason: str, run: Runner, tmp_path: Path
) -> None:
    write(tmp_path / "in.csv", records(5))
    (tmp_path / "in.txt").write_text("x")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no")
    (tmp_path / "doubled.csv").write_text("carrier,hour,hour,distance\nAA,1,1,1\n")
    (tmp_path / "foreign.csv").write_text("a,b\n1,2\n")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "something").touch()
    before = sorted(tmp_path.rglob("[!.]*.csv"))
    result = run(tmp_path / given, tmp_path / output)
    assert result.status == "Failed"
    assert reason in str(result.failure_reason)
    assert sorted(tmp_path.rglob("[!.]*.csv")) == before


def test_csv_without_a_header_is_the_features_in_order(run: Runner, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("001,4,2.5,x\nUA,5,,\n")
    result = run(tmp_path / "in.csv", tmp_path / "out.jsonl")
    assert result.status == "Completed", result.failure_reason
    check_answers(
        [
            {"carrier": "001", "hour": 4, "distance": 2.5},
            {"carrier": "UA", "hour": 5, "distance": None},
        ],
        read(tmp_path / "out.jsonl"),
    )


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl"])
def test_a_joined_column_is_never_doubled(kind: str, run: Runner, tmp_path: Path) -> None:
    rows = [{**row, "prediction": "mine"} for row in records(5)]
    result = run(write(tmp_path / f"in.{kind}", rows), tmp_path / f"out.{kind}", join=True)
    assert result.status == "Failed"
    assert "two columns 'prediction'" in str(result.failure_reason)


def test_csv_cells_are_quoted_only_where_it_is_needed(run: Runner, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("carrier,hour,distance\n001,4,2.50\n")
    run(source, tmp_path / "out.csv", join=True)
    line = (tmp_path / "out.csv").read_text().splitlines()[1]
    assert line.startswith("001,4,2.50,on time,")  # every cell as it was written
