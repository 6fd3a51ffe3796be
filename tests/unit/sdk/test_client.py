"""The client: registry, jobs, events, and which platform the module's functions speak to."""

import datetime as dt
import hashlib
import inspect
import threading

import pytest

import modelport as mp
from fakes.control import URL, ScriptedControl, TurnedClock, problem
from modelport.domain.clock import SystemClock
from modelport.domain.errors import InvalidInput, ModelportError, NotFound, TimedOut, Unavailable
from modelport.domain.names import NAME, parse_version
from modelport.sdk import calls
from modelport.sdk.client import Client, reachable
from modelport.sdk.default import current, using
from modelport.sdk.jobs import Job, absolute, fresh_name

GROUPS = "/api/v1/model-package-groups"


def package(name="m:1", **notes):
    group, _, number = name.partition(":")
    return {
        "kind": "ModelPackage",
        "name": name,
        "parent": group,
        "status": {"model_package_version": int(number), "model_approval_status": "Approved"},
        "modelport": {"digest": "d" * 64, **notes},
    }


def job(status="InProgress", kind="TransformJob", **more):
    field = "transform_job_status" if kind == "TransformJob" else "processing_job_status"
    return {"kind": kind, "name": "j", "spec": {}, "status": {field: status, **more}, "modelport": {}}


def client_of(script):
    dock = ScriptedControl(script)
    return Client(URL, dock=dock, clock=TurnedClock()), dock


def test_lists_follow_their_pages():
    pages = {
        None: {"items": [{"name": "a"}], "next": "a"},
        "a": {"items": [{"name": "b"}], "next": None},
    }
    client, _ = client_of({f"GET {GROUPS}": lambda request: pages[request.url.params.get("after")]})
    assert [group.name for group in client.models()] == ["a", "b"]


def test_events_end_at_their_limit():
    def page(request):
        after = int(request.url.params.get("after", 0))
        return {"items": [{"sequence": after + 1}], "next": str(after + 1)}

    client, dock = client_of({"GET /api/v1/events": page})
    assert [event["sequence"] for event in client.events(name="e", limit=3)] == [1, 2, 3]
    assert dock.seen[0].url.params["name"] == "e"


def test_an_upload_that_is_there_is_not_sent_again(tmp_path):
    content = b"weights" * 1000
    digest = hashlib.sha256(content).hexdigest()
    path = tmp_path / "weights"
    path.write_bytes(content)
    head = f"HEAD /api/v1/artifacts/{digest}"
    client, dock = client_of({"POST /api/v1/artifacts": (201, {"digest": digest})})
    assert client.upload(path) == digest
    assert dock.seen[-1].content == content
    assert dock.seen[-1].headers["x-content-sha256"] == digest
    dock.script[head] = {}
    assert client.upload(content) == digest
    assert dock.seen[-1].method == "HEAD"


def test_a_version_is_created_and_decided():
    versions = f"{GROUPS}/m/versions"
    measured = {"rows": 9, "max_absolute": 1e-16, "flips": 0, "ties": 1}
    client, dock = client_of(
        {
            f"POST {versions}": (
                201,
                package(proof={"serving": measured}),
            ),
            f"PUT {GROUPS}/m/aliases/champion": {},
            f"PATCH {versions}/1": package(),
            f"DELETE {versions}/1": (204, None),
        }
    )
    version = client.create_version("m", "d" * 64, approval="manual", alias="champion", metrics=None)
    assert (str(version), version.group, version.version) == ("m:1", "m", 1)
    assert (version.proof["rows"], version.proof["max_absolute"]) == (9, 1e-16)
    assert dock.bodies(f"POST {versions}") == [
        {"digest": "d" * 64, "approval_status": "PendingManualApproval"}
    ]
    version.approve("fine").reject()
    assert [body["approval_status"] for body in dock.bodies(f"PATCH {versions}/1")] == [
        "Approved",
        "Rejected",
    ]
    version.delete()


def test_what_is_wrong_with_the_names_is_said_before_the_work():
    client, dock = client_of({})
    for how in ({"name": "my_model"}, {"alias": "my_alias"}, {"approval": "sometimes"}):
        with pytest.raises(InvalidInput):
            client.register(object(), **({"name": "m", "example": None} | how))
    assert dock.seen == []


def test_a_batch_names_places_the_server_finds(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = "POST /api/v1/transform-jobs"
    client, dock = client_of({path: (202, job())})
    client.clock = SystemClock()
    client.batch(
        "m@champion", "in.csv", "s3://bucket/out/", join=True, failed_rows_max=3, output_format="csv"
    )
    (wish,) = dock.bodies(path)
    assert wish["model_name"] == "m@champion"
    assert wish["transform_input"]["data_source"]["s3_data_source"]["s3_uri"] == str(tmp_path / "in.csv")
    assert wish["transform_output"] == {"s3_output_path": "s3://bucket/out/", "accept": "text/csv"}
    assert wish["data_processing"] == {"join_source": "Input"}
    assert wish["failed_rows_max"] == 3
    assert wish["transform_job_name"].startswith("m-champion-")
    with pytest.raises(InvalidInput, match="'xlsx'"):
        client.batch("m:1", "a", "b", input_format="xlsx")


def test_a_folder_stays_a_folder(tmp_path):
    assert absolute(f"{tmp_path}/out/").endswith("/out/")
    assert absolute("gs://b/x") == "gs://b/x"


def test_fresh_names_are_names():
    for reference in ("m:1", "m@champion", "m", f"{'x' * 63}:123456789"):
        assert NAME.fullmatch(fresh_name(parse_version(reference), SystemClock()))


def test_a_job_is_watched_to_its_end():
    progress = "GET /api/v1/transform-jobs/j/progress"
    client, _ = client_of(
        {
            "GET /api/v1/transform-jobs/j": [job(), job("Completed")],
            progress: [{"rows_done": 1, "rows_total": 2}, {"rows_done": 2, "rows_total": 2}],
        }
    )
    seen = []
    finished = Job(client, job()).wait(on_progress=lambda at: seen.append(at.rows_done))
    assert finished.status == "Completed"
    assert seen[0] == 1
    assert seen[-1] == 2


@pytest.mark.parametrize(("status", "says"), [("Failed", "disk full"), ("Stopped", "was stopped")])
def test_a_job_that_did_not_complete_is_an_error(status, says):
    client, _ = client_of({"GET /api/v1/transform-jobs/j": job(status, failure_reason="disk full")})
    with pytest.raises(ModelportError, match=says):
        Job(client, job()).wait()


@pytest.mark.parametrize("on_progress", [None, lambda at: None])
def test_waiting_for_a_job_ends(on_progress):
    running = {"GET /api/v1/transform-jobs/j": job(), "GET /api/v1/transform-jobs/j/progress": {}}
    client, _ = client_of(running)
    with pytest.raises(TimedOut, match="job j"):
        Job(client, job()).wait(timeout_s=2.0, on_progress=on_progress)
    assert client.clock.at < 3


def test_a_monitor_hands_out_its_reports():
    done = job("Completed", kind="ProcessingJob", exit_message="all quiet")
    client, _ = client_of(
        {
            "POST /api/v1/processing-jobs": (202, job(kind="ProcessingJob")),
            "GET /api/v1/processing-jobs/j": done,
            "GET /api/v1/processing-jobs/j/reports/report.txt": "plain words",
        }
    )
    found = client.monitor("e", since="2013-07-01T00:00:00Z")
    assert (found.text, found.report) == ("all quiet", None)
    found.document["modelport"] = {"detail": {"reports": ["report.txt", "report.html"]}}
    assert "plain words" in found.text
    assert found.report == f"{URL}/api/v1/processing-jobs/j/reports/report.html"


@pytest.mark.parametrize("since", ["yesterday", "2013-07-01", dt.datetime(2013, 7, 1)])  # noqa: DTZ001 - one without a zone is the point
def test_a_window_needs_a_time_with_a_zone(since):
    client, dock = client_of({})
    with pytest.raises(InvalidInput, match=r"since is '.*', expected a time with a zone"):
        client.monitor("e", since=since)
    assert dock.seen == []


def test_a_job_is_found_whatever_its_kind():
    client, _ = client_of({"GET /api/v1/processing-jobs/j": job(kind="ProcessingJob")})
    assert client.job("j").kind == "ProcessingJob"
    with pytest.raises(NotFound, match="no job 'k'"):
        client.job("k")


def test_the_server_is_asked_for_its_inference_url_once():
    client, dock = client_of(
        {"GET /api/v1/status": [{"inference_url": None}, {"inference_url": "http://127.0.0.1:9"}]}
    )
    with pytest.raises(Unavailable):
        _ = client.inference
    assert client.inference_url == "http://127.0.0.1:9"
    assert client.inference_url == "http://127.0.0.1:9"
    assert len(dock.seen) == 2


@pytest.mark.parametrize(
    ("told", "control", "expected"),
    [
        ("http://0.0.0.0:8080", "http://models.example:8090", "http://models.example:8080"),
        ("http://[::]:8080", "http://[fd00::1]:8090", "http://[fd00::1]:8080"),
        ("http://127.0.0.1:8080", "http://10.0.0.7:8090", "http://10.0.0.7:8080"),
        ("http://127.0.0.1:8080", "http://localhost:8090", "http://127.0.0.1:8080"),
        ("http://other.example:8080", "http://models.example:8090", "http://other.example:8080"),
    ],
)
def test_a_server_that_names_itself_by_a_wildcard_is_reached(told, control, expected):
    assert reachable(told, control) == expected


def test_the_functions_speak_to_the_innermost_platform(monkeypatch):
    monkeypatch.setenv("MODELPORT_URL", "http://127.0.0.1:1")
    inner, outer = Client("http://127.0.0.1:2"), Client("http://127.0.0.1:3")
    assert current().url == "http://127.0.0.1:1"
    assert current() is current()
    with using(outer):
        with using(inner):
            assert current() is inner
        assert current() is outer
        found = []
        thread = threading.Thread(target=lambda: found.append(current().url))
        thread.start()
        thread.join()
        assert found == ["http://127.0.0.1:1"]
    assert current().url == "http://127.0.0.1:1"


def test_the_public_names_are_there():
    for name in mp.__all__:
        assert getattr(mp, name) is not None
    assert dir(mp) == sorted(mp.__all__)
    with pytest.raises(AttributeError, match="no attribute 'predict_all'"):
        _ = mp.predict_all


def test_functions_have_the_signature_of_their_method():
    assert list(inspect.signature(calls.deploy).parameters)[:2] == ["version", "endpoint"]
    assert calls.deploy.__doc__ == Client.deploy.__doc__


def test_a_server_that_says_no_is_heard(monkeypatch):
    dock = ScriptedControl({"GET /api/v1/endpoints/e": problem(403, "forbidden", "no")})
    with using(Client(URL, dock=dock, token="t")), pytest.raises(ModelportError, match="no"):
        mp.endpoint("e")
    assert dock.seen[0].headers["authorization"] == "Bearer t"
