"""Counters of all processes add up, whoever dies and whoever asks."""

import json
import os
import signal
import subprocess
import sys
import threading

import pytest

from modelport.telemetry import metrics
from modelport.telemetry.prometheus import render
from modelport.telemetry.slots import SERIES_MAX, MetricSlot, read_totals, retire_dead

KEY = ("flights", "v1", "flights:1", "invocations", "200")


def _requests(folder):
    return read_totals(folder).get((metrics.REQUESTS, KEY), [0])[0]


def test_slots_of_all_processes_add_up(tmp_path):
    one, two = MetricSlot(tmp_path, "a"), MetricSlot(tmp_path, "b")
    one.series(metrics.REQUESTS, *KEY).add(3)
    two.series(metrics.REQUESTS, *KEY).add(4)
    one.flush()
    two.flush()
    assert _requests(tmp_path) == 7
    two.series(metrics.REQUESTS, *KEY).add()
    assert _requests(tmp_path) == 7  # not copied yet
    two.flush()
    assert _requests(tmp_path) == 8
    one.close()
    two.close()


def test_a_dead_slot_counts_on_and_is_retired_once(tmp_path):
    slot = MetricSlot(tmp_path, "a")
    slot.series(metrics.REQUESTS, *KEY).add(3)
    slot.series(metrics.RSS, "0").set(1000)
    slot.flush()
    assert retire_dead(tmp_path) == 0
    slot.close()
    assert _requests(tmp_path) == 3
    assert (metrics.RSS, ("0",)) not in read_totals(tmp_path)  # a gauge dies with its process
    assert retire_dead(tmp_path) == 1
    assert _requests(tmp_path) == 3
    assert list(tmp_path.glob("*.slot")) == []
    assert retire_dead(tmp_path) == 0
    again = MetricSlot(tmp_path, "a")
    again.series(metrics.REQUESTS, *KEY).add(2)
    again.close()
    retire_dead(tmp_path)
    assert _requests(tmp_path) == 5


def test_a_retirement_killed_before_it_removed_the_files_counts_nothing_twice(tmp_path):
    slot = MetricSlot(tmp_path, "a")
    slot.series(metrics.REQUESTS, *KEY).add(3)
    slot.close()
    (file,) = tmp_path.glob("*.slot")
    kept = file.read_bytes()
    retire_dead(tmp_path)
    file.write_bytes(kept)
    assert _requests(tmp_path) == 3
    retire_dead(tmp_path)
    assert _requests(tmp_path) == 3
    assert not file.exists()


def test_a_process_killed_at_work_keeps_what_it_flushed(tmp_path):
    code = (
        "import sys, time; from pathlib import Path\n"
        "from modelport.telemetry import metrics; from modelport.telemetry.slots import MetricSlot\n"
        "slot = MetricSlot(Path(sys.argv[1]), 'w')\n"
        f"slot.series(metrics.REQUESTS, *{KEY!r}).add(5); slot.flush(); print('ok', flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ok\n"
        assert _requests(tmp_path) == 5
        assert retire_dead(tmp_path) == 0
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
    assert retire_dead(tmp_path) == 1
    assert _requests(tmp_path) == 5


def test_a_reader_never_sees_half_a_copy(tmp_path):
    slot = MetricSlot(tmp_path, "a")
    first = slot.series(metrics.CAPTURED, "a", "v")
    last = slot.series(metrics.CAPTURED, "z", "v")
    slot.flush()
    done = threading.Event()

    def work():
        for _ in range(3000):
            first.add()
            last.add()
            slot.flush()
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    while not done.is_set():
        totals = read_totals(tmp_path)
        assert totals[metrics.CAPTURED, ("a", "v")] == totals[metrics.CAPTURED, ("z", "v")]
    thread.join()
    slot.close()


def test_what_did_not_change_is_copied_once_and_stays(tmp_path):
    slot = MetricSlot(tmp_path, "a")
    for turn in range(1, 4):
        slot.series(metrics.CAPTURED, f"e{turn}", "v").add(turn)
        slot.series(metrics.CAPTURED, "e1", "v").add()
        slot.flush()
        totals = read_totals(tmp_path)
        found = {key[1][0]: values for key, values in totals.items() if key[0] == metrics.CAPTURED}
        assert found == {
            f"e{number}": [number + (turn if number == 1 else 0)] for number in range(1, turn + 1)
        }
    slot.close()


COUNTS = """
import sys
import time
from pathlib import Path
from modelport.telemetry.slots import MetricSlot
slot = MetricSlot(Path(sys.argv[1]), "a")
series = slot.series("modelport_captured_total", "e", "v")
series.add(1000)
slot.flush()
print("counts", flush=True)
while True:
    series.add()
    slot.flush()
    time.sleep(2e-5)  # a writer that does nothing else would leave readers hardly a moment
"""


def test_every_metric_keeps_all_its_numbers(tmp_path):
    slot = MetricSlot(tmp_path, "a")
    given = {}
    for at, (name, metric) in enumerate(metrics.METRICS.items()):
        labels = tuple(f"l{at}" for _ in metric.labels)
        series = slot.series(name, *labels)
        for place in range(metric.width):
            series.values[place] = 1000 * at + place + 1
        given[name, labels] = list(series.values)
    slot.flush()
    assert read_totals(tmp_path) == given
    slot.close()


def test_no_total_goes_back_while_another_process_counts(tmp_path):
    with subprocess.Popen([sys.executable, "-c", COUNTS, str(tmp_path)], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline() == b"counts\n"
            last = 0
            for _ in range(3000):
                now = read_totals(tmp_path)[metrics.CAPTURED, ("e", "v")][0]
                assert now >= last
                last = now
        finally:
            process.kill()
        process.wait()
        assert read_totals(tmp_path)[metrics.CAPTURED, ("e", "v")][0] >= last


def test_more_label_values_than_a_slot_holds_share_one_series(tmp_path):
    slot = MetricSlot(tmp_path, "a")
    for number in range(SERIES_MAX + 50):
        slot.series(metrics.CAPTURED, f"e{number}", "v").add()
    slot.close()
    totals = read_totals(tmp_path)
    assert (
        sum(values[0] for (name, _), values in totals.items() if name == metrics.CAPTURED) == SERIES_MAX + 50
    )
    assert (metrics.CAPTURED, ("other", "other")) in totals


def test_unknown_and_broken_files_are_passed_over(tmp_path):
    (tmp_path / "x.slot").write_bytes(b"")
    (tmp_path / "y.slot").write_bytes(b"nonsense" * 100)
    assert read_totals(tmp_path) == {}
    assert read_totals(tmp_path / "none") == {}


def test_wrong_labels_are_a_programming_error(tmp_path):
    slot = MetricSlot(tmp_path, "a")
    with pytest.raises(ValueError, match="labels"):
        slot.series(metrics.REQUESTS, "flights")
    slot.close()


def test_prometheus_text(tmp_path):
    slot = MetricSlot(tmp_path, "a")
    slot.series(metrics.REQUESTS, *KEY).add(3)
    duration = slot.series(metrics.REQUEST_DURATION, "flights", "v1", "flights:1")
    duration.observe(0.0002)
    duration.observe(0.3, times=2)
    duration.observe(100.0)
    slot.close()
    lines = render(read_totals(tmp_path), "1.2.3").decode().splitlines()
    labels = 'endpoint="flights",variant="v1",version="flights:1"'
    assert f'modelport_requests_total{{{labels},protocol="invocations",code="200"}} 3' in lines
    assert "# TYPE modelport_request_duration_seconds histogram" in lines
    assert f'modelport_request_duration_seconds_bucket{{{labels},le="0.00025"}} 1' in lines
    assert f'modelport_request_duration_seconds_bucket{{{labels},le="0.5"}} 3' in lines
    assert f'modelport_request_duration_seconds_bucket{{{labels},le="+Inf"}} 4' in lines
    assert f"modelport_request_duration_seconds_sum{{{labels}}} 100.6002" in lines
    assert f"modelport_request_duration_seconds_count{{{labels}}} 4" in lines
    assert 'modelport_build_info{version="1.2.3"} 1' in lines


def test_logs_are_one_json_object_per_line(capsys):
    import structlog

    from modelport.telemetry.logs import configure_logs

    configure_logs("warning", process="inference-0")
    try:
        structlog.get_logger().info("unseen")
        structlog.get_logger().warning("model.failed", reason="two\nlines")
        (line,) = capsys.readouterr().err.splitlines()
        record = json.loads(line)
        assert record["event"] == "model.failed"
        assert record["reason"] == "two\nlines"
        assert record["process"] == "inference-0"
    finally:
        structlog.reset_defaults()
        structlog.contextvars.clear_contextvars()
