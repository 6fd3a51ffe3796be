"""The nouns over REST: what goes in comes back, and bad input says what is wrong."""

import hashlib
import json
import socket
import threading

import pytest

from fakes.bundles import truthful_bundle
from fakes.doors import Doors
from fakes.platform import wait_for
from modelport.wire.manifest import Manifest, encode_manifest


def upload(client, content, **headers):
    return client.post("/api/v1/artifacts", content=content, headers=headers)


def test_a_version_is_registered_from_uploads(doors):
    client = doors.client
    files = {}
    for name, content in truthful_bundle(1).items():
        answer = upload(client, content)
        assert answer.status_code == 201
        assert answer.json() == {"digest": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        files[name] = answer.json()["digest"]
    digest = upload(client, encode_manifest(Manifest(files))).json()["digest"]
    wish = {"digest": digest, "framework": "onnx", "metrics": {"auc": 0.75}, "metadata": {"Kept_As": "Is"}}
    answer = client.post("/api/v1/model-package-groups/truth/versions", json=wish)
    assert answer.status_code == 201
    version = answer.json()
    assert (version["name"], version["kind"], version["parent"]) == ("truth:1", "ModelPackage", "truth")
    assert version["modelport"]["metrics"] == {"auc": 0.75}
    assert version["spec"]["customer_metadata_properties"] == {"Kept_As": "Is"}
    for reference in ("truth", "truth:1"):
        assert client.get(f"/api/v1/model-packages/{reference}").json() == version

    alias = client.put("/api/v1/model-package-groups/truth/aliases/champion", json={"version": 1})
    assert alias.json()["modelport"]["aliases"] == {"champion": 1}
    assert client.get("/api/v1/model-packages/truth@champion").json()["name"] == "truth:1"
    decided = client.patch(
        "/api/v1/model-package-groups/truth/versions/1",
        json={"approval_status": "Rejected", "approval_description": "no"},
    )
    assert decided.json()["status"]["model_approval_status"] == "Rejected"
    pinned = client.delete("/api/v1/model-package-groups/truth/versions/1")
    assert pinned.status_code == 409
    assert "modelport alias" in pinned.json()["hint"]
    client.delete("/api/v1/model-package-groups/truth/aliases/champion")
    assert client.delete("/api/v1/model-package-groups/truth/versions/1").status_code == 204
    assert client.delete("/api/v1/model-package-groups/truth").status_code == 204
    events = client.get("/api/v1/events").json()["items"]
    assert {event["principal"] for event in events} == {"local"}
    assert [event["sequence"] for event in events] == sorted(event["sequence"] for event in events)


def test_lists_are_paged(doors):
    for number in range(1, 6):
        doors.register(number=number)
    first = doors.client.get("/api/v1/model-package-groups/truth/versions?limit=3").json()
    assert [item["name"] for item in first["items"]] == ["truth:5", "truth:4", "truth:3"]
    rest = doors.client.get(f"/api/v1/model-package-groups/truth/versions?after={first['next']}").json()
    assert [item["name"] for item in rest["items"]] == ["truth:2", "truth:1"]
    assert rest["next"] is None


def test_an_endpoint_is_wished_for_and_described(doors):
    doors.register()
    wish = {"model_package": "truth:1", "capture_percent": 100}
    answer = doors.client.post("/api/v1/endpoints/e/deployments", json=wish)
    assert answer.status_code == 202
    assert answer.json()["status"]["endpoint_status"] == "Creating"
    assert answer.json()["observed_generation"] < answer.json()["generation"]
    assert doors.client.get("/api/v1/endpoints/e").json()["name"] == "e"
    config = doors.client.get("/api/v1/endpoint-configs").json()["items"][0]
    assert config["spec"]["data_capture_config"]["initial_sampling_percentage"] == 100
    assert doors.client.get("/api/v1/models/truth-1").json()["modelport"]["model_version"] == "truth:1"
    again = {"endpoint_name": "f", "endpoint_config_name": config["name"]}
    assert doors.client.post("/api/v1/endpoints", json=again).status_code == 202
    assert doors.client.delete("/api/v1/endpoints/f").status_code == 202
    unsettled = doors.client.get("/api/v1/status").json()["unsettled"]
    assert {item["name"] for item in unsettled} == {"e", "f"}


def test_news_of_an_endpoint_can_be_waited_for(doors):
    doors.register()
    doors.client.post("/api/v1/endpoints/e/deployments", json={"model_package": "truth:1"})
    waited = doors.client.get("/api/v1/endpoints/e", params={"wait_s": 0.05})
    assert waited.json()["status"]["endpoint_status"] == "Creating", "the time was over"
    threading.Timer(0.05, doors.settle, ["e"]).start()
    told = doors.client.get("/api/v1/endpoints/e", params={"wait_s": 30}).json()
    assert told["observed_generation"] == told["generation"]
    for strange in ("-1", "31", "nan", "soon"):
        assert doors.client.get("/api/v1/endpoints/e", params={"wait_s": strange}).status_code == 400


def test_labels_are_all_kept_or_none(doors):
    doors.register()
    doors.client.post(
        "/api/v1/endpoints/e/deployments", json={"model_package": "truth:1", "capture_percent": 100}
    )
    labels = {
        "labels": [{"id": "a#0", "label": 1.5}, {"id": "a#0", "label": "late"}, {"id": "b", "label": [1, 2]}]
    }
    answer = doors.client.post("/api/v1/endpoints/e/labels", json=labels)
    assert answer.json() == {"accepted": 4, "doubled": 1}
    bad = {"labels": [{"id": "c#0", "label": 1}, {"id": "", "label": 2}]}
    answer = doors.client.post("/api/v1/endpoints/e/labels", json=bad)
    assert (answer.status_code, answer.json()["row"]) == (400, 1)
    assert doors.client.post("/api/v1/endpoints/e/labels", json=labels).json()["doubled"] == 4


def test_jobs_are_wished_for_watched_and_stopped(doors):
    doors.register()
    wish = {
        "transform_job_name": "score",
        "model_name": "truth:1",
        "transform_input": {"data_source": {"s3_data_source": {"s3_uri": "/data/in.csv"}}},
        "transform_output": {"s3_output_path": "/data/out.csv"},
        "failed_rows_max": 3,
    }
    answer = doors.client.post("/api/v1/transform-jobs", json=wish)
    assert answer.status_code == 202
    assert answer.json()["modelport"]["failed_rows_max"] == 3
    assert doors.client.get("/api/v1/transform-jobs/score/progress").json() == {}
    assert doors.client.get("/api/v1/transform-jobs/score/log").text == ""
    assert doors.client.get("/api/v1/processing-jobs/score").status_code == 404
    stopping = doors.client.post("/api/v1/transform-jobs/score/stop")
    assert stopping.json()["status"]["transform_job_status"] == "Stopping"
    assert [job["name"] for job in doors.client.get("/api/v1/transform-jobs").json()["items"]] == ["score"]


def test_monitoring_needs_captures_and_zones(doors):
    doors.register()
    doors.client.post("/api/v1/endpoints/e/deployments", json={"model_package": "truth:1"})
    silent = doors.client.post("/api/v1/processing-jobs", json={"endpoint": "e"})
    assert silent.status_code == 409
    assert "--capture 100%" in silent.json()["hint"]
    zoneless = doors.client.post(
        "/api/v1/processing-jobs", json={"endpoint": "e", "since": "2013-07-01T00:00:00"}
    )
    assert zoneless.status_code == 400


def test_reports_are_only_those_the_job_lists(doors):
    doors.register()
    doors.client.post(
        "/api/v1/endpoints/e/deployments", json={"model_package": "truth:1", "capture_percent": 100}
    )
    name = doors.client.post("/api/v1/processing-jobs", json={"endpoint": "e"}).json()["name"]
    folder = doors.settings.layout.jobs / name
    folder.mkdir(parents=True)
    (folder / "job.json").write_text("{}")
    for file in ("report.html", "job.json", "..%2Fjob.json"):
        assert doors.client.get(f"/api/v1/processing-jobs/{name}/reports/{file}").status_code == 404


@pytest.mark.parametrize(
    ("body", "content_type", "says"),
    [
        (b"{", "application/json", "not JSON"),
        (b"[]", "application/json", "Expected `object`"),
        (b"{}", "application/json", "model_package"),
        (b'{"model_package": 3}', "application/json", "$.model_package"),
        (b'{"model_package": "a:1", "surprise": 1}', "application/json", "surprise"),
        (b'{"model_package": "a:0"}', "application/json", "positive integer"),
        (b'{"model_package": "a:1"}', "text/plain", "text/plain"),
        (b'{"model_package": "a:1"}', "", "no declared type"),
        (b"\xff\xfe", "application/json", "JSON"),
    ],
)
def test_a_bad_body_says_what_is_wrong(doors, body, content_type, says):
    headers = {"Content-Type": content_type} if content_type else {}
    answer = doors.client.post("/api/v1/endpoints/e/deployments", content=body, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid_input"
    assert says in answer.json()["detail"]


def test_a_large_body_is_refused_before_it_is_read(tmp_path):
    doors = Doors(tmp_path / "home", body_bytes_max=1000, artifact_bytes_max=2000)

    big = doors.client.post("/api/v1/endpoints/e/labels", json={"labels": [], "pad": "x" * 1000})
    assert (big.status_code, big.json()["code"]) == (413, "payload_too_large")
    assert upload(doors.client, b"x" * 2001).status_code == 413
    assert upload(doors.client, (b"x" * 500 for _ in range(5))).status_code == 413
    assert upload(doors.client, b"x" * 2000).status_code == 201
    assert len(doors.artifacts.digests()) == 1
    doors.close()


def test_artifacts_come_back_as_they_were(doors):
    content = bytes(range(256)) * 20_000
    digest = hashlib.sha256(content).hexdigest()
    assert doors.client.head(f"/api/v1/artifacts/{digest}").status_code == 404
    pieces = (content[at : at + 70_000] for at in range(0, len(content), 70_000))
    answer = upload(doors.client, pieces, **{"X-Content-SHA256": digest})
    assert answer.json() == {"digest": digest, "bytes": len(content)}
    assert doors.client.head(f"/api/v1/artifacts/{digest}").status_code == 200
    assert doors.client.get(f"/api/v1/artifacts/{digest}").content == content


def test_a_damaged_upload_leaves_nothing(doors):
    answer = upload(doors.client, b"damaged", **{"X-Content-SHA256": "0" * 64})
    assert answer.status_code == 400
    assert "damaged" in answer.json()["hint"]
    assert doors.artifacts.digests() == []
    assert list((doors.settings.layout.artifacts / "incoming").iterdir()) == []


@pytest.mark.parametrize("digest", ["short", "A" * 64, "..%2F..%2Fetc%2Fpasswd", "g" * 64])
def test_a_strange_digest_reaches_no_file(doors, digest):
    assert doors.client.get(f"/api/v1/artifacts/{digest}").status_code in (400, 404)


def test_operation(doors):
    assert doors.client.get("/livez").text == "ok\n"
    assert doors.client.get("/readyz").status_code == 200
    doors.not_ready = "no worker is connected"
    not_ready = doors.client.get("/readyz")
    assert (not_ready.status_code, not_ready.text) == (503, "no worker is connected\n")
    metrics = doors.client.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
    front = doors.client.get("/")
    assert front.headers["content-type"].startswith("text/html")
    assert "/api/v1/openapi.json" in front.text
    assert "http" not in front.text.replace("http://localhost", "")  # nothing from elsewhere


def test_the_front_page_escapes(tmp_path):
    doors = Doors(tmp_path / "home")
    layout = doors.settings.layout
    layout.run.mkdir(parents=True)
    layout.endpoint_file.write_text(json.dumps({"control_url": "<script>", "inference_url": "http://x"}))
    assert "<script>" not in doors.client.get("/").text
    doors.close()


def test_the_unforeseen_is_a_problem_without_its_secrets(doors):
    doors.platform.endpoints._records = None
    answer = doors.client.get("/api/v1/endpoints")
    assert answer.status_code == 500
    assert answer.json()["code"] == "error"
    assert "reading" not in answer.json()["detail"]


def begin_upload(doors, declared, sent):
    connection = socket.create_connection(
        (doors.client.base_url.host, doors.client.base_url.port), timeout=10
    )
    head = f"POST /api/v1/artifacts HTTP/1.1\r\nHost: localhost\r\nContent-Length: {declared}\r\n\r\n"
    connection.sendall(head.encode() + b"x" * sent)
    return connection


def test_an_upload_that_breaks_off_leaves_nothing(doors):
    incoming = doors.settings.layout.artifacts / "incoming"
    with begin_upload(doors, declared=4 << 20, sent=2 << 20):
        wait_for(lambda: incoming.is_dir() and list(incoming.iterdir()), what="the upload to arrive")
    wait_for(lambda: not list(incoming.iterdir()), what="the upload to be forgotten")
    assert doors.artifacts.digests() == []


def test_a_body_that_pauses_is_not_waited_for(tmp_path):
    doors = Doors(tmp_path / "home", body_timeout_s=0.1)
    with begin_upload(doors, declared=100, sent=10) as connection:
        answer = connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert doors.artifacts.digests() == []
    doors.close()


def test_what_aws_clients_said_is_not_for_ours_to_say(doors):
    doors.register()
    model = {"model_name": "m", "primary_container": {"model_package_name": "truth:1"}}
    config = {"endpoint_config_name": "c", "production_variants": []}
    for path, wish in (("models", model), ("endpoint-configs", config)):
        answer = doors.client.post(f"/api/v1/{path}", json={**wish, "request": {"ModelName": 5}})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")
        assert "`request`" in answer.json()["detail"]
