"""Makes the tables of the AWS door from botocore's service models.

    .venv/bin/python tools/aws_tables.py            # writes them; commit what changed
    .venv/bin/python tools/aws_tables.py --check    # says which are not what this botocore gives

A table holds the operations we offer, with the shapes they reach and every constraint on them, and the bare
names of all others. It has no documentation. Patterns are Java's: they are translated to Python's here.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

import botocore
from botocore.session import get_session

FOLDER = Path(__file__).parent.parent / "src" / "modelport" / "api" / "aws" / "tables"

OFFERED = {
    "sagemaker": (
        *("CreateModel", "DescribeModel", "ListModels", "DeleteModel"),
        *("CreateEndpointConfig", "DescribeEndpointConfig", "ListEndpointConfigs", "DeleteEndpointConfig"),
        *("CreateEndpoint", "DescribeEndpoint", "ListEndpoints", "UpdateEndpoint", "DeleteEndpoint"),
        "UpdateEndpointWeightsAndCapacities",
        *("CreateInferenceComponent", "DescribeInferenceComponent", "ListInferenceComponents"),
        *("UpdateInferenceComponent", "UpdateInferenceComponentRuntimeConfig", "DeleteInferenceComponent"),
        *("CreateModelPackageGroup", "DescribeModelPackageGroup", "ListModelPackageGroups"),
        *("DeleteModelPackageGroup", "CreateModelPackage", "DescribeModelPackage", "ListModelPackages"),
        *("UpdateModelPackage", "DeleteModelPackage", "BatchDescribeModelPackage"),
        *("AddTags", "ListTags", "DeleteTags", "Search"),
        *("CreateExperiment", "DescribeExperiment", "ListExperiments", "UpdateExperiment"),
        *("DeleteExperiment", "CreateTrial", "DescribeTrial", "ListTrials", "UpdateTrial", "DeleteTrial"),
        *("CreateTrialComponent", "DescribeTrialComponent", "ListTrialComponents", "UpdateTrialComponent"),
        *("DeleteTrialComponent", "AssociateTrialComponent", "DisassociateTrialComponent"),
        *("CreateModelCard", "DescribeModelCard", "UpdateModelCard", "DeleteModelCard"),
        *("ListModelCards", "ListModelCardVersions"),
    ),
    "application-autoscaling": (
        *("RegisterScalableTarget", "DescribeScalableTargets", "DeregisterScalableTarget"),
        *("PutScalingPolicy", "DescribeScalingPolicies", "DeleteScalingPolicy", "DescribeScalingActivities"),
    ),
    "sagemaker-metrics": ("BatchPutMetrics", "BatchGetMetrics"),
    "monitoring": (
        *("PutMetricData", "GetMetricStatistics", "GetMetricData", "ListMetrics"),
        *("PutMetricAlarm", "DescribeAlarms", "DescribeAlarmsForMetric", "SetAlarmState", "DeleteAlarms"),
    ),
    "logs": ("DescribeLogGroups", "DescribeLogStreams", "GetLogEvents", "FilterLogEvents"),
}
"""Per service, as credential scopes name it: the operations that a table describes."""

KEPT_MEMBERS = {
    "SearchRecord": (
        *("Endpoint", "Model", "ModelPackage", "ModelPackageGroup"),
        *("Experiment", "Trial", "TrialComponent"),
    ),
    "TrialComponent": (
        *("TrialComponentName", "DisplayName", "TrialComponentArn", "Source", "Status", "StartTime"),
        *("EndTime", "CreationTime", "CreatedBy", "LastModifiedTime", "LastModifiedBy", "Parameters"),
        *("InputArtifacts", "OutputArtifacts", "Metrics", "MetadataProperties", "Tags", "Parents"),
    ),
    "ModelDashboardModel": ("Model", "Endpoints"),
}
"""Structures of which we give some members only, and those: the others reach half of all shapes."""

REST = "rest-json"
"""The protocol whose operations are told by method and path, not by a header."""

MODELS = {"monitoring": "cloudwatch"}
"""Services that botocore calls otherwise."""

KEPT = (
    "type",
    "required",
    "enum",
    "pattern",
    "min",
    "max",
    "member",
    "key",
    "value",
    "union",
    "timestampFormat",
)

LETTERS = {
    "L": r"\w",
    "N": r"\w",
    "M": r"\u0300-\u036f",
    "Z": r" \u00a0\u2000-\u200a\u2028\u2029\u202f\u205f\u3000",
    "S": r"$+<=>^`|~\u00a2-\u00a9\u2044\u20a0-\u20bf\u2190-\u2bff",
    "P": r"!-#%-*,-/:;?@\[-\]_{}\u00a1-\u00bf\u2010-\u2027\u2030-\u205e\u3001-\u303f",
    "Alnum": "a-zA-Z0-9",
    "Print": r"\x20-\x7e",
    "ASCII": r"\x00-\x7f",
}
"""Java's classes of characters, as the inside of a Python class; the rarer ones approximately."""


def main() -> int:
    """Write the tables, or compare them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    stale = []
    for service in OFFERED:
        path, text = FOLDER / f"{service}.json", write_table(make_table(service))
        if check and (not path.exists() or path.read_text() != text):
            stale.append(path.name)
        elif not check:
            path.write_text(text)
    print("stale: " + ", ".join(stale) if stale else "up to date")
    return 1 if stale else 0


def make_table(service: str) -> dict[str, Any]:
    """Return the table of a service, from the installed botocore."""
    model = (
        get_session()
        .get_component("data_loader")
        .load_service_model(MODELS.get(service, service), "service-2")
    )
    metadata = model["metadata"]
    operations = {name: _operation(model["operations"][name]) for name in sorted(OFFERED[service])}
    requests = {name: _request(model["operations"][name]) for name in operations}
    shapes: dict[str, Any] = {}
    pending = [name for operation in operations.values() for name in operation.values()]
    while pending:
        name = pending.pop()
        if name not in shapes:
            shapes[name], reached = _shape(model["shapes"][name], KEPT_MEMBERS.get(name))
            pending.extend(reached)
    return {
        "botocore": botocore.__version__,
        "target_prefix": metadata.get("targetPrefix", ""),
        "json_version": metadata.get("jsonVersion", ""),
        "requests": requests if metadata["protocol"] == REST else {},
        "others": sorted(set(model["operations"]) - set(operations)),
        "operations": operations,
        "shapes": dict(sorted(shapes.items())),
    }


def write_table(table: dict[str, Any]) -> str:
    """Return a table as JSON with a line for each operation and shape, so that differences can be read."""
    lines = ["{"]
    facts = ("botocore", "target_prefix", "json_version", "requests", "others")
    lines += [f"{json.dumps(key)}: {json.dumps(table[key])}," for key in facts]
    for key, end in (("operations", "},"), ("shapes", "}")):
        lines.append(f"{json.dumps(key)}: {{")
        rows = [f" {json.dumps(name)}: {json.dumps(item)}" for name, item in table[key].items()]
        lines += [",\n".join(rows), end]
    return "\n".join([*lines, "}", ""])


def translate(pattern: str) -> str:
    """Return a Java pattern as Python's `re` takes it."""
    pattern = re.sub(r"\$\{\d+,\d+\}", "", pattern)
    pattern = pattern.replace(r"\uD800\uDC00-\uDBFF\uDFFF", r"\U00010000-\U0010ffff")
    pattern = re.sub(r"^\\p\{(\w+)\}", lambda match: f"[{LETTERS[match[1]]}]", pattern)  # in no class
    pattern = re.sub(r"\\p\{(\w+)\}", lambda match: LETTERS[match[1]], pattern)
    re.compile(pattern)
    return pattern


def _operation(operation: dict[str, Any]) -> dict[str, str]:
    return {part: operation[part]["shape"] for part in ("input", "output") if part in operation}


def _request(operation: dict[str, Any]) -> str:
    return f"{operation['http']['method']} {operation['http']['requestUri']}"


def _shape(shape: dict[str, Any], only: tuple[str, ...] | None = None) -> tuple[dict[str, Any], list[str]]:
    found: dict[str, Any] = {key: shape[key] for key in KEPT if key in shape}
    reached = []
    for key in ("member", "key", "value"):
        if key in found:
            found[key] = found[key]["shape"]
            reached.append(found[key])
    if "members" in shape:
        found["members"] = {
            name: member["shape"] for name, member in shape["members"].items() if only is None or name in only
        }
        reached += found["members"].values()
    if "pattern" in found:
        found["pattern"] = translate(found["pattern"])
    return found, reached


if __name__ == "__main__":
    raise SystemExit(main())
