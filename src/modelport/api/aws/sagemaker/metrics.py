"""SageMaker Metrics: what runs tell of themselves."""

from __future__ import annotations

from typing import Any

from modelport.access.scopes import Scope
from modelport.api.aws.calls import Call, Service
from modelport.api.aws.errors import AwsError
from modelport.api.aws.sagemaker.arns import name_in
from modelport.control.services.run_metrics import MetricQuery
from modelport.domain.errors import ModelportError
from modelport.domain.resource import Kind
from modelport.domain.run_metrics import Point

MESSAGE_MAX = 2_048


def put(call: Call) -> dict[str, Any]:
    """Add points to the metrics of a trial component; those that are not taken are told by their index."""
    asked = call.parameters
    told = [
        (datum["MetricName"], Point(datum["Timestamp"].timestamp(), datum["Value"], datum.get("Step")))
        for datum in asked["MetricData"]
    ]
    errors = call.platform.run_metrics.put(asked["TrialComponentName"], told)
    return {"Errors": [{"Code": code.value, "MetricIndex": index} for index, code in errors] or None}


def get(call: Call) -> dict[str, Any]:
    """Return values of metrics by iteration or by time; each query has a status of its own."""
    return {"MetricQueryResults": [_answer(call, query) for query in call.parameters["MetricQueries"]]}


SAGEMAKER_METRICS = Service(
    "sagemaker-metrics",
    {"BatchPutMetrics": (Scope.REGISTRY_WRITE, put), "BatchGetMetrics": (Scope.REGISTRY_READ, get)},
)


def _answer(call: Call, query: dict[str, Any]) -> dict[str, Any]:
    try:
        curve = call.platform.run_metrics.read(
            MetricQuery(
                component=name_in(query["ResourceArn"], Kind.TRIAL_COMPONENT),
                metric=query["MetricName"],
                statistic=query["MetricStat"],
                period=query["Period"],
                axis=query["XAxisType"],
                start=query.get("Start"),
                end=query.get("End"),
            )
        )
    except (AwsError, ModelportError) as error:
        told = error.message[:MESSAGE_MAX]
        return {"Status": "ValidationError", "Message": told, "XAxisValues": [], "MetricValues": []}
    return {
        "Status": "Truncated" if curve.cut else "Complete",
        "XAxisValues": curve.places,
        "MetricValues": curve.values,
    }
