"""Commands: what they send, what they print where, and how they end."""

import inspect
import io
import json
import os
import subprocess
import sys

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fakes.control import endpoint, problem
from modelport.cli.commands import MODULES, load
from modelport.domain import errors

E = "GET /api/v1/endpoints/e"
INVOKE = "POST /endpoints/e/invocations"


def package(name="m:1", approval="Approved", **notes):
    group, _, number = name.partition(":")
    return {
        "kind": "ModelPackage",
        "name": name,
        "parent": group,
        "spec": {},
        "status": {"model_package_version": int(number), "model_approval_status": approval},
        "modelport": {"digest": "d" * 64, **notes},
        "created_at": "2013-07-01T12:00:00.123Z",
    }


def job(status="Completed", kind="TransformJob", **more):
    field = "transform_job_status" if kind == "TransformJob" else "processing_job_status"
    return {
        "kind": kind,
        "name": "j",
        "spec": {"model_name": "m-1"},
        "status": {field: status, **more},
        "modelport": {},
        "created_at": "2013-07-01T12:00:00Z",
    }


def answered(**document):
    headers = {
        "x-modelport-prediction-id": "abc",
        "x-amzn-invoked-production-variant": "v1",
        "x-modelport-model-version": "m:1",
    }
    return httpx.Response(200, json=document, headers=headers)


@pytest.mark.parametrize("name", [name for names in MODULES.values() for name in names])
def test_every_command_helps_with_an_example(modelport, name):
    helped = modelport(name, "--help")
    assert helped.code == 0
    assert f"modelport {name}" in helped.out
    assert "Example:" in helped.out


@pytest.mark.parametrize("name", [name for names in MODULES.values() for name in names])
def test_a_function_takes_what_its_command_declares(name):
    command = load(name)
    declared = [parameter.name for parameter in command.params]
    assert declared == list(inspect.signature(command.callback).parameters)


@pytest.mark.parametrize(
    ("arguments", "loaded"),
    [
        (["deploy", "--help"], {"modelport.cli.endpoints"}),
        (["--help"], set(MODULES)),
        (["--version"], set()),
        (["nonsense"], set()),
    ],
)
def test_only_the_file_of_the_command_is_loaded(arguments, loaded):
    code = f"import sys; from modelport.cli.commands import run; run({arguments}); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(MODULES) & set(done.stdout.split()) == loaded


@pytest.mark.parametrize(("arguments", "code"), [(["--help"], 0), ([], 2)])
def test_the_help_tells_every_command_in_a_whole_sentence(modelport, monkeypatch, arguments, code):
    monkeypatch.setenv("COLUMNS", "80")
    helped = modelport(*arguments)
    assert (helped.code, helped.err) == (code, "")
    listed = helped.out.partition("Commands:\n")[2]
    names = [line.split()[0] for line in listed.splitlines() if not line.startswith("   ")]
    assert names == [name for names in MODULES.values() for name in names]
    told = " ".join(listed.split())
    for name in names:
        assert f"{name} {inspect.cleandoc(load(name).help).splitlines()[0]}" in told


def test_the_help_of_a_command_says_what_its_arguments_are(modelport):
    told = modelport("traffic", "--help").out
    assert "Usage: modelport traffic [OPTIONS] ENDPOINT VARIANT=WEIGHT...\n" in told
    assert told.count("Relative weights, for example v1=9 v2=1.") == 1
    assert "[default: 60.0]" in told


def test_a_misspelled_command_gets_a_suggestion(modelport):
    assert "No such command 'job'. Did you mean 'jobs'?" in modelport("job").err


def test_a_reader_that_leaves_is_no_failure():
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "modelport.cli", "--help"]
    with os.fdopen(write, "wb") as nobody:
        done = subprocess.run(command, stdout=nobody, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_version_is_told(modelport):
    assert modelport("--version").out.startswith("modelport ")


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["deploy"], ["deploy", "m:1"], ["events", "--limit", "0"], ["models", "-o", "xml"]],
)
def test_a_wrong_command_line_is_usage(modelport, arguments):
    ended = modelport(*arguments)
    assert ended.code == 2
    assert ended.out == ""


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        ("error", 1),
        ("invalid_input", 2),
        ("check_failed", 3),
        ("conversion_failed", 3),
        ("refused", 4),
        ("forbidden", 4),
        ("unauthenticated", 4),
        ("payload_too_large", 4),
        ("not_found", 5),
        ("conflict", 6),
        ("unreachable", 7),
        ("timed_out", 124),
        ("unavailable", 1),
        ("corrupted", 1),
    ],
)
def test_an_error_ends_with_its_code_and_says_what_next(control, modelport, code, exit_code):
    control.script["GET /api/v1/endpoints"] = problem(400, code, "what was found", hint="try this")
    ended = modelport("endpoints")
    assert ended.code == exit_code
    assert ended.out == ""
    assert ended.err == "error: what was found\nhint: try this\n"


def test_nobody_answers(modelport, monkeypatch):
    monkeypatch.setenv("MODELPORT_URL", "http://127.0.0.1:9")
    ended = modelport("models")
    assert ended.code == 7
    assert "modelport up" in ended.err


def test_an_interrupt_is_130(modelport, control):
    control.script[E] = endpoint()

    class Interrupted(io.RawIOBase):
        def read(self, *_):
            raise KeyboardInterrupt

    original = sys.stdin
    sys.stdin = io.TextIOWrapper(Interrupted())
    try:
        assert modelport("predict", "e", "-").code == 130
    finally:
        sys.stdin = original


def test_a_name_that_is_not_allowed_gets_a_suggestion(control, modelport):
    ended = modelport("deploy", "my_model:1", "--endpoint", "e")
    assert ended.code == 2
    assert "'my-model'" in ended.err
    assert control.seen == []


def test_models_are_listed_and_described(control, modelport):
    group = {"name": "m", "modelport": {"aliases": {"champion": 1}, "last_version": 2}}
    control.script["GET /api/v1/model-package-groups"] = {"items": [group], "next": None}
    control.script["GET /api/v1/model-package-groups/m/versions"] = {
        "items": [package("m:2", estimator="Tree"), package("m:1", metrics={"auc": 0.75})],
        "next": None,
    }
    control.script["GET /api/v1/model-packages/m:1"] = package(
        proof={"serving": {"rows": 1234, "max_absolute": 2e-16, "flips": 0, "ties": 0}, "bar": "1e-14"}
    )
    assert modelport("models").out.splitlines()[1].split() == ["m", "2", "@champion", "1"]
    assert [line.split()[0] for line in modelport("models", "m").out.splitlines()] == [
        "VERSION",
        "m:2",
        "m:1",
    ]
    assert "auc 0.75" in modelport("models", "m").out
    assert "1,234 rows: largest difference 2e-16 (bar 1e-14)" in modelport("models", "m:1").out
    assert json.loads(modelport("models", "-o", "json").out) == [group]
    assert json.loads(modelport("models", "m:1", "-o", "json").out)["name"] == "m:1"


def test_nothing_to_list_is_said_apart_from_data(control, modelport):
    for path in ("models", "endpoints", "events"):
        control.script["GET /api/v1/model-package-groups"] = {"items": [], "next": None}
        control.script["GET /api/v1/endpoints"] = {"items": [], "next": None}
        control.script["GET /api/v1/events"] = {"items": [], "next": None}
        listed = modelport(path)
        assert (listed.code, listed.out) == (0, "")
        assert listed.err
        assert json.loads(modelport(path, "-o", "json").out) == []


def test_a_version_is_decided_aliased_and_deleted(control, modelport):
    path = "/api/v1/model-package-groups/m"
    control.script |= {
        "GET /api/v1/model-packages/m:1": package(),
        f"PATCH {path}/versions/1": [package(), package(approval="Rejected")],
        f"PUT {path}/aliases/champion": {},
        f"DELETE {path}/versions/1": (204, None),
    }
    assert modelport("approve", "m:1", "--reason", "good").err == "m:1 is Approved\n"
    assert modelport("reject", "m:1").err == "m:1 is Rejected\n"
    assert modelport("alias", "m:1", "champion").err == "m@champion is m:1\n"
    assert "would delete m:1" in modelport("delete", "m:1", "--dry-run").err
    deletions = [request for request in control.seen if request.method == "DELETE"]
    assert [dict(request.url.params) for request in deletions] == [{"dry_run": "true"}]
    assert modelport("delete", "m:1").err == "deleted m:1\n"
    assert modelport("delete", "m@champion").code == 2


def test_a_deploy_tells_its_steps_and_prints_where(control, modelport):
    deploy = "POST /api/v1/endpoints/e/deployments"
    control.script |= {
        deploy: (202, endpoint("Creating", observed=0)),
        E: [endpoint("Creating", observed=0), endpoint("InService", v1=90.0, v2=10.0)],
    }
    ended = modelport("deploy", "m:2", "--endpoint", "e", "--traffic", "10%", "--capture", "100%", "--shadow")
    assert ended.code == 0
    assert [line.split(" (")[0] for line in ended.err.splitlines()] == ["e Creating", "e InService"]
    title, row = ended.out.splitlines()
    assert title.split() == ["ENDPOINT", "STATUS", "TRAFFIC", "URL"]
    assert "v1 90 %, v2 10 %" in row
    assert row.endswith("/endpoints/e/invocations")
    assert control.bodies(deploy) == [
        {"model_package": "m:2", "traffic_percent": 10.0, "shadow": True, "capture_percent": 100.0}
    ]


def test_a_deploy_that_fails_or_takes_too_long(control, modelport):
    deploy = "POST /api/v1/endpoints/e/deployments"
    control.script |= {
        deploy: (202, endpoint("Creating", observed=0)),
        E: endpoint("Failed", reason="it crashed its process"),
    }
    failed = modelport("deploy", "m:1", "--endpoint", "e")
    assert (failed.code, failed.out) == (1, "")
    assert "it crashed its process" in failed.err
    control.script[E] = endpoint("Creating", observed=0)
    late = modelport("deploy", "m:1", "--endpoint", "e", "--timeout", "0.1")
    assert late.code == 124
    assert "modelport status" in late.err


def test_routing(control, modelport):
    weights = "PUT /api/v1/endpoints/e/weights"
    control.script |= {
        E: endpoint(v1=1.0, v2=1.0),
        weights: endpoint(v1=3.0, v2=1.0),
        "POST /api/v1/endpoints/e/promote": endpoint(v2=1.0),
        "POST /api/v1/endpoints/e/rollback": endpoint(),
    }
    assert "v1 75 %, v2 25 %" in modelport("traffic", "e", "v1=3", "v2=1").out
    assert control.bodies(weights) == [{"v1": 3.0, "v2": 1.0}]
    assert "v2 100 %" in modelport("promote", "e", "v2").out
    assert json.loads(modelport("rollback", "e", "-o", "json").out)["name"] == "e"
    for wrong in ("v1", "v1=x", "v1=-1", "=1", "v1=inf", "v1=nan"):
        assert modelport("traffic", "e", wrong).code == 2
    assert modelport("traffic", "e", "v1=1", "v1=2").code == 2


def test_undeploy_can_be_rehearsed(control, modelport):
    control.script |= {E: endpoint(), "DELETE /api/v1/endpoints/e": (202, endpoint("Deleting"))}
    assert "would delete endpoint e, which serves v1 100 %" in modelport("undeploy", "e", "--dry-run").err
    assert not [request for request in control.seen if request.method == "DELETE"]
    control.script[E] = [endpoint(), problem(404, "not_found", "gone")]
    assert modelport("undeploy", "e").err == "deleted endpoint e\n"


@pytest.mark.parametrize(
    ("name", "content", "content_type"),
    [
        ("rows.json", b"[[1, 2]]", "application/json"),
        ("rows.jsonl", b"[1, 2]\n", "application/jsonlines"),
        ("rows.csv", b"a,b\n1,2\n", "text/csv"),
        ("rows", b'{"a": 1}\n{"a": 2}\n', "application/jsonlines"),
        ("rows", b"[\n[1, 2],\n[3, 4]\n]", "application/json"),
        ("rows", b"1,2\n", "text/csv"),
    ],
)
def test_a_file_is_sent_as_it_is(control, modelport, tmp_path, name, content, content_type):
    path = tmp_path / name
    path.write_bytes(content)
    control.script |= {E: endpoint(), INVOKE: answered(predictions=[1.5])}
    assert modelport("predict", "e", path).code == 0
    assert control.seen[-1].content == content
    assert control.seen[-1].headers["content-type"] == content_type


def test_predictions_are_data_in_full(control, modelport, tmp_path):
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"a": [1, None]}), path)
    document = {
        "predictions": ["late", "on time"],
        "probabilities": [[0.25, 0.75], [1.0, 0.0]],
        "classes": ["late", "on time"],
    }
    control.script |= {E: endpoint(), INVOKE: answered(**document)}
    told = modelport("predict", "e", path)
    assert told.out.splitlines() == [
        "PREDICTION  p(late)  p(on time)  ID",
        "late        0.2500   0.7500      abc#0",
        "on time     1.0000   0.0000      abc#1",
    ]
    assert told.err == "m:1, variant v1, 2 rows\n"
    assert json.loads(control.seen[-1].content)["dataframe_split"]["data"] == [[1], [None]]
    found = json.loads(modelport("predict", "e", path, "-o", "json").out)
    assert found == document | {"ids": ["abc#0", "abc#1"], "variant": "v1", "model_version": "m:1"}


def test_numbers_keep_every_digit(control, modelport, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("1\n")
    control.script |= {E: endpoint(), INVOKE: answered(predictions=[0.1 + 0.2])}
    assert "0.30000000000000004" in modelport("predict", "e", path).out


def test_a_row_that_does_not_fit_is_refused(control, modelport, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("x\n")
    control.script |= {
        E: endpoint(),
        INVOKE: problem(400, "invalid_input", "row 0: found x", row=0, feature="a"),
    }
    assert modelport("predict", "e", path).code == 4
    assert modelport("predict", "e", tmp_path / "missing.csv").code == 5
    path.write_text(" \n")
    assert modelport("predict", "e", path).code == 2


def test_a_large_file_belongs_into_a_job(control, modelport, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("1\n")
    control.script |= {
        E: endpoint(),
        INVOKE: problem(413, "payload_too_large", "too large"),
        "GET /api/v1/endpoint-configs/c": {
            "spec": {"production_variants": [{"variant_name": "v1", "model_name": "m-1"}]}
        },
        "GET /api/v1/models/m-1": {"modelport": {"model_version": "m:1"}},
        "GET /api/v1/model-packages/m:1": package(),
    }
    refused = modelport("predict", "e", path)
    assert refused.code == 4
    assert f"modelport batch m:1 {path} OUTPUT" in refused.err


def test_a_variant_of_inference_components_is_shown_as_one(control, modelport):
    config = {"production_variants": [{"variant_name": "v1", "model_name": ""}]}
    control.script |= {E: endpoint(), "GET /api/v1/endpoint-configs/c": {"spec": config}}
    assert "v1  inference components  100 %" in modelport("endpoints", "e").out


LABELS = "POST /api/v1/endpoints/e/labels"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("labels.json", b'[{"id": "a#0", "label": 1}, {"id": "a#1", "label": "late"}]'),
        ("labels.jsonl", b'{"id": "a#0", "label": 1}\n\n{"id": "a#1", "label": "late"}\n'),
    ],
)
def test_labels_are_given_back(control, modelport, tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    control.script |= {E: endpoint(), LABELS: {"accepted": 2, "doubled": 1}}
    assert "2 labels accepted, 1 of them" in modelport("feedback", "e", path).err
    assert control.bodies(LABELS) == [{"labels": [{"id": "a#0", "label": 1}, {"id": "a#1", "label": "late"}]}]
    assert json.loads(modelport("feedback", "e", path, "-o", "json").out)["accepted"] == 2


def test_feedback_and_monitor_without_captures_fail_with_the_remedy(control, modelport, tmp_path):
    path = tmp_path / "labels.jsonl"
    path.write_text('{"id": "a#0", "label": 1}\n')
    silent = problem(409, "conflict", "e captures nothing", hint="modelport deploy … --capture 100%")
    control.script |= {E: endpoint(), LABELS: silent, "POST /api/v1/processing-jobs": silent}
    for ended in (modelport("feedback", "e", path), modelport("monitor", "e")):
        assert ended.code == 1
        assert "--capture 100%" in ended.err


def test_labels_without_their_columns_are_said(control, modelport, tmp_path):
    path = tmp_path / "labels.jsonl"
    path.write_text('{"key": 1}\n')
    control.script[E] = endpoint()
    ended = modelport("feedback", "e", path)
    assert ended.code == 2
    assert "row 0: found key, expected the columns id and label" in ended.err


def test_a_batch_is_waited_for(control, modelport, tmp_path):
    jobs = "/api/v1/transform-jobs"
    finished = job() | {"modelport": {"detail": {"rows": 5, "outputs": ["/out"]}}}
    control.script |= {
        f"POST {jobs}": (202, job("InProgress")),
        f"GET {jobs}/j": finished,
        f"GET {jobs}/j/progress": {"rows_done": 5, "rows_total": 5},
    }
    ended = modelport("batch", "m:1", tmp_path / "in.csv", tmp_path / "out.csv", "--failed-rows-max", "2")
    assert ended.code == 0
    assert "rows     5" in ended.out
    assert ended.err.startswith("job j\n")
    assert control.bodies(f"POST {jobs}")[0]["failed_rows_max"] == 2
    assert modelport("batch", "m:1", "a", "b", "--no-wait").out == "j\n"
    control.script[f"GET {jobs}/j"] = job("Failed", failure_reason="disk full")
    failed = modelport("batch", "m:1", "a", "b")
    assert failed.code == 1
    assert "disk full" in failed.err
    assert "modelport logs j" in failed.err


def test_a_monitor_prints_its_report(control, modelport, tmp_path):
    jobs = "/api/v1/processing-jobs"
    detail = {"detail": {"reports": ["report.txt", "report.html"]}}
    control.script |= {
        f"POST {jobs}": (202, job("InProgress", kind="ProcessingJob")),
        f"GET {jobs}/j": job(kind="ProcessingJob") | {"modelport": detail},
        f"GET {jobs}/j/progress": {},
        f"GET {jobs}/j/reports/report.txt": httpx.Response(200, text="v1 is fine\n"),
        f"GET {jobs}/j/reports/report.html": httpx.Response(200, text="<html>"),
    }
    page = tmp_path / "page.html"
    ended = modelport("monitor", "e", "--since", "2013-07-01T00:00:00Z", "--html", page)
    assert ended.code == 0
    assert "v1 is fine" in ended.out
    assert str(page) in ended.err
    assert page.read_text() == "<html>"
    assert control.bodies(f"POST {jobs}")[0]["since"] == "2013-07-01T00:00:00Z"
    assert "reports/report.html" in modelport("monitor", "e").err


def test_jobs_are_listed_described_read_and_stopped(control, modelport):
    jobs = "/api/v1/transform-jobs"
    control.script |= {
        f"GET {jobs}": {"items": [job()], "next": None},
        "GET /api/v1/processing-jobs": {"items": [], "next": None},
        f"GET {jobs}/j": job("InProgress"),
        f"GET {jobs}/j/progress": {
            "rows_done": 50_000,
            "rows_total": 100_000,
            "rows_per_second": 12_345.6,
            "seconds_left": 4.2,
        },
        f"GET {jobs}/j/log": httpx.Response(200, text="a line\n"),
        f"POST {jobs}/j/stop": job("Stopping"),
    }
    assert "j     TransformJob  Completed" in modelport("jobs").out
    assert "50,000 of 100,000 rows (50 %) · 12,346 rows/s · 4 s left" in modelport("jobs", "j").out
    assert modelport("logs", "j").out == "a line\n"
    assert modelport("stop", "j").err == "job j is Stopping\n"
    assert modelport("logs", "k").code == 5


def test_events_are_the_newest(control, modelport):
    items = [
        {
            "sequence": n,
            "at": "2013-07-01T12:00:00Z",
            "principal": "ann",
            "verb": "create",
            "kind": "Endpoint",
        }
        | {"name": f"e{n}"}
        for n in range(5)
    ]
    control.script["GET /api/v1/events"] = {"items": items, "next": None}
    lines = modelport("events", "--limit", "2").out.splitlines()
    assert [line.split()[-1] for line in lines[1:]] == ["e3", "e4"]


def test_colours_only_where_they_are_wanted(control, modelport):
    control.script["GET /api/v1/endpoints"] = {"items": [endpoint()], "next": None}
    assert "\x1b" not in modelport("endpoints").out


def test_every_error_class_ends_somewhere():
    from modelport.cli.exits import exit_code

    assert exit_code(errors.InvalidInput("x", row=0)) == 4
    assert exit_code(errors.ModelFailed("x")) == 1
