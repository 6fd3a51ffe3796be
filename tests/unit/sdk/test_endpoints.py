"""Endpoints: predictions in pieces, labels, waits that end with the reason."""

import json
import math

import httpx
import numpy as np
import pandas as pd
import pytest

from fakes.control import URL, ScriptedControl, TurnedClock, endpoint, problem
from modelport.domain.errors import Conflict, InvalidInput, ModelportError, NotFound, TimedOut
from modelport.sdk.client import Client
from modelport.sdk.endpoints import plain_label

INVOKE = "POST /endpoints/e/invocations"
GET = "GET /api/v1/endpoints/e"


def big_frame():
    """Return rows that need several requests."""
    return pd.DataFrame({"a": range(40), "b": ["x" * (1 << 20)] * 40})


def client_of(script):
    dock = ScriptedControl({GET: endpoint(), **script})
    return Client(URL, inference_url=URL, dock=dock, clock=TurnedClock()), dock


def answering(variant="v1", version="m:1", **document):
    """Return an inference port that answers each row with its first value."""

    def answer(request):
        body = json.loads(request.content)
        data = body["dataframe_split"]["data"] if "dataframe_split" in body else body["instances"]
        found = document or {"predictions": [row[0] for row in data]}
        headers = {
            "x-modelport-prediction-id": f"id{len(data)}",
            "x-amzn-invoked-production-variant": variant,
            "x-modelport-model-version": version,
        }
        return httpx.Response(200, json=found, headers=headers)

    return answer


def test_a_reply_says_who_answered_and_keeps_the_index():
    document = {
        "predictions": ["late", "on time"],
        "probabilities": [[0.7, 0.3], [0.2, 0.8]],
        "classes": ["late", "on time"],
    }
    client, _ = client_of({INVOKE: answering(**document)})
    reply = client.endpoint("e").predict(pd.DataFrame({"a": [1, 2]}, index=["x", "y"]))
    assert (reply.variant, reply.model_version) == ("v1", "m:1")
    assert reply.predictions.tolist() == ["late", "on time"]
    assert reply.probabilities.shape == (2, 2)
    assert reply.ids == ["id2#0", "id2#1"]
    frame = reply.to_frame()
    assert list(frame.index) == ["x", "y"]
    assert list(frame.columns) == ["prediction", "probability_late", "probability_on time", "prediction_id"]
    assert len(reply) == 2


@pytest.mark.parametrize(
    ("predictions", "kind", "shape"),
    [
        ([1, 0], "i", (2,)),
        ([1.5, None], "f", (2,)),
        (["a", "b"], "O", (2,)),
        ([True, False], "b", (2,)),
        ([[1.0, 2.0], [3.0, 4.0]], "f", (2, 2)),
    ],
)
def test_predictions_are_arrays_of_what_they_are(predictions, kind, shape):
    client, _ = client_of({INVOKE: answering(predictions=predictions)})
    reply = client.endpoint("e").predict([[1], [2]])
    assert (reply.predictions.dtype.kind, reply.predictions.shape) == (kind, shape)
    assert len(reply.to_frame()) == 2
    if predictions[-1] is None:
        assert math.isnan(reply.predictions[-1])


def test_large_inputs_go_in_pieces_to_one_variant():
    client, dock = client_of({INVOKE: answering(variant="v2")})
    reply = client.endpoint("e").predict(big_frame())
    assert reply.predictions.tolist() == list(range(40))
    assert len(reply.ids) == 40
    asked = [request.headers.get("x-amzn-sagemaker-target-variant") for request in dock.seen[1:]]
    assert len(asked) > 2
    assert asked[0] is None
    assert set(asked[1:]) == {"v2"}


def test_pieces_of_two_versions_are_no_answer():
    client, _ = client_of({INVOKE: [answering(version="m:1"), answering(version="m:2")]})
    with pytest.raises(Conflict, match="m:1 and m:2"):
        client.endpoint("e").predict(big_frame())


def test_the_row_of_an_error_counts_over_all_pieces():
    bad = problem(400, "invalid_input", "bad", row=3, feature="a")
    client, dock = client_of({INVOKE: [answering(), bad]})
    with pytest.raises(InvalidInput) as caught:
        client.endpoint("e").predict(big_frame())
    first = json.loads(dock.seen[1].content)
    assert caught.value.row == 3 + len(first["dataframe_split"]["data"])


def test_an_id_is_for_one_request():
    client, dock = client_of({INVOKE: answering()})
    client.endpoint("e").predict([[1]], inference_id="mine")
    assert dock.seen[-1].headers["x-amzn-sagemaker-inference-id"] == "mine"
    with pytest.raises(InvalidInput, match="more than one request"):
        client.endpoint("e").predict(big_frame(), inference_id="mine")


def test_an_endpoint_or_variant_that_is_not_there_is_not_found():
    vague = httpx.Response(400, json={"Message": "unknown"})
    client, dock = client_of({INVOKE: vague})
    found = client.endpoint("e")
    with pytest.raises(InvalidInput, match="unknown"):
        found.predict([[1]])
    with pytest.raises(NotFound, match="no variant 'v9'"):
        found.predict([[1]], variant="v9")
    del dock.script[GET]
    with pytest.raises(NotFound):
        found.predict([[1]])


def test_a_variant_of_inference_components_has_no_version():
    config = {"spec": {"production_variants": [{"variant_name": "v1", "model_name": ""}]}}
    client, _ = client_of({"GET /api/v1/endpoint-configs/c": config})
    with pytest.raises(NotFound, match="'v1' of e has no version: it holds inference components"):
        client.endpoint("e").signature()


def test_labels_go_by_row_id():
    path = "POST /api/v1/endpoints/e/labels"
    client, dock = client_of({path: {"accepted": 2, "doubled": 1}})
    found = client.endpoint("e")
    assert found.feedback(["a#0", "b#3"], pd.Series(["late", "on time"])) == {"accepted": 2, "doubled": 1}
    found.feedback("c", np.array([1, 2]))
    assert dock.bodies(path) == [
        {"labels": [{"id": "a#0", "label": "late"}, {"id": "b#3", "label": "on time"}]},
        {"labels": [{"id": "c#0", "label": 1}, {"id": "c#1", "label": 2}]},
    ]


def test_many_labels_go_in_pieces_and_are_summed():
    path = "POST /api/v1/endpoints/e/labels"
    client, dock = client_of({path: {"accepted": 5, "doubled": 0}})
    ids = [f"x#{row}" for row in range(25_000)]
    assert client.endpoint("e").feedback(ids, [1.5] * 25_000)["accepted"] == 15
    assert [len(body["labels"]) for body in dock.bodies(path)] == [10_000, 10_000, 5_000]


@pytest.mark.parametrize("label", [math.nan, math.inf, None, pd.NA, pd.NaT, [1], b"x"])
def test_a_missing_label_is_none(label):
    with pytest.raises(InvalidInput) as caught:
        plain_label(label, 4)
    assert caught.value.row == 4


def test_labels_and_ids_must_match():
    client, _ = client_of({})
    with pytest.raises(InvalidInput, match="2 ids and 1 labels"):
        client.endpoint("e").feedback(["a#0", "a#1"], [1])


DEPLOY = "POST /api/v1/endpoints/e/deployments"


def test_a_deploy_waits_until_its_own_wish_is_served():
    old = endpoint("InService", generation=2, observed=1, v1=1.0)
    client, dock = client_of(
        {
            DEPLOY: (202, old),
            GET: [
                endpoint("Updating", generation=2, observed=1),
                old,
                endpoint("InService", generation=2, v1=90.0, v2=10.0),
            ],
        }
    )
    served = client.deploy("m:2", "e", traffic="10%", capture=100)
    assert served.variants == {"v1": 90.0, "v2": 10.0}
    assert dock.bodies(DEPLOY) == [
        {"model_package": "m:2", "traffic_percent": 10.0, "shadow": False, "capture_percent": 100.0}
    ]


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (endpoint("Failed", reason="it crashed"), "e is Failed: it crashed"),
        (endpoint("InService", reason="it hung"), "went back to what it served before: it hung"),
    ],
)
def test_a_deploy_that_fails_says_why(state, says):
    client, _ = client_of({DEPLOY: (202, endpoint("Creating", observed=0)), GET: state})
    with pytest.raises(ModelportError, match=says) as caught:
        client.deploy("m:1", "e")
    assert type(caught.value) is ModelportError


def test_a_wait_ends():
    waiting = endpoint("Creating", observed=0)
    client, dock = client_of({DEPLOY: (202, waiting), GET: waiting})
    with pytest.raises(TimedOut, match="e to be InService"):
        client.deploy("m:1", "e", timeout_s=3.0)
    assert 3.0 <= client.clock.at < 3.5
    asked = [float(request.url.params["wait_s"]) for request in dock.seen if request.method == "GET"]
    assert len(asked) == 3, "a server that answers at once is not asked again at once"
    assert max(asked) <= 1.0


def test_a_delete_waits_until_it_is_gone():
    gone = problem(404, "not_found", "gone")
    client, dock = client_of({"DELETE /api/v1/endpoints/e": (202, endpoint("Deleting"))})
    found = client.endpoint("e")
    dock.script[GET] = [endpoint("Deleting"), gone]
    found.delete()


def test_routing_says_what_is_wished():
    promote, weights = "POST /api/v1/endpoints/e/promote", "PUT /api/v1/endpoints/e/weights"
    rollback = "POST /api/v1/endpoints/e/rollback"
    client, dock = client_of({promote: endpoint(), weights: endpoint(), rollback: endpoint()})
    found = client.endpoint("e")
    found.promote("v2")
    found.traffic({"v1": 9, "v2": 1})
    found.rollback()
    assert dock.bodies(promote) == [{"variant": "v2"}]
    assert dock.bodies(weights) == [{"v1": 9.0, "v2": 1.0}]


@pytest.mark.parametrize("traffic", ["110%", "-1", "much", "", True, math.nan])
def test_a_share_is_a_share(traffic):
    client, dock = client_of({})
    with pytest.raises(InvalidInput, match="from 0% to 100%"):
        client.deploy("m:1", "e", traffic=traffic)
    assert dock.seen == []


@pytest.mark.parametrize(
    ("version", "endpoint_"), [("my_model:1", "e"), ("m:0", "e"), ("m:1", "my_endpoint")]
)
def test_names_are_checked_before_anything_is_sent(version, endpoint_):
    client, dock = client_of({})
    with pytest.raises(InvalidInput):
        client.deploy(version, endpoint_)
    assert dock.seen == []
