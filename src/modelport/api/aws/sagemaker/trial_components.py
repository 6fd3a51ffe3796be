"""Trial components: the runs that trials are made of."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from modelport.api.aws.calls import Call
from modelport.api.aws.errors import VALIDATION, AwsError
from modelport.api.aws.paging import list_page
from modelport.api.aws.sagemaker.arns import arn_of, name_in
from modelport.api.aws.sagemaker.experiments import spell_times
from modelport.api.aws.sagemaker.telling import keeping, looking
from modelport.domain.experiment import MEMBERS_MAX, TrialComponent, TrialComponentSpec
from modelport.domain.resource import Kind
from modelport.domain.run_metrics import Summary
from modelport.wire.documents import from_request

TIMES = ("StartTime", "EndTime")
FILTERS = ("ExperimentName", "TrialName", "SourceArn")


def create(call: Call) -> dict[str, Any]:
    """Write down a trial component."""
    request = call.parameters
    name = request["TrialComponentName"]
    with keeping("TrialComponent", name):
        spec = from_request(TrialComponentSpec, request | {"Request": _written(request)})
        call.platform.experiments.create_component(spec, principal=call.principal.name)
    return {"TrialComponentArn": arn_of(call, Kind.TRIAL_COMPONENT, name)}


def describe(call: Call) -> dict[str, Any]:
    """Describe a trial component, with a summary of each of its metrics."""
    name = name_in(call.parameters["TrialComponentName"], Kind.TRIAL_COMPONENT)
    with looking():
        found = call.platform.experiments.component(name)
    return describe_found(call, found)


def describe_found(call: Call, component: TrialComponent) -> dict[str, Any]:
    """Return a trial component as SageMaker describes it."""
    arn = arn_of(call, Kind.TRIAL_COMPONENT, component.name)
    metrics = call.platform.run_metrics.summaries(component.name)
    return summarize(call, component) | {
        "Metrics": [_describe_metric(name, summary, arn) for name, summary in metrics.items()]
    }


def summarize(call: Call, component: TrialComponent) -> dict[str, Any]:
    """Return a trial component as lists show it, and more: all but its metrics."""
    spec = component.spec
    return {
        "DisplayName": component.name,
        **spec.request,
        "TrialComponentArn": arn_of(call, Kind.TRIAL_COMPONENT, component.name),
        "StartTime": spec.start_time,
        "EndTime": spec.end_time,
        "CreationTime": component.created_at,
        "LastModifiedTime": component.modified_at,
    }


def list_components(call: Call) -> dict[str, Any]:
    """List the trial components, of an experiment or of a trial where one is named."""
    asked = call.parameters
    given = [name for name in FILTERS if name in asked]
    if len(given) > 1:
        raise AwsError(VALIDATION, f"{' and '.join(given)} are given, expected at most one of them.")
    with looking():
        found = call.platform.experiments.components(
            experiment=asked.get("ExperimentName"), trial=asked.get("TrialName")
        )
    # Sources are jobs that write components by themselves, as none does here.
    page = list_page(spell_times(asked), [] if "SourceArn" in asked else found)
    summaries = [summarize(call, component) for component in page.items]
    return {"TrialComponentSummaries": summaries, "NextToken": page.next_token}


def update(call: Call) -> dict[str, Any]:
    """Change a trial component: what is given joins its parameters and artifacts."""
    request = call.parameters
    name = request["TrialComponentName"]
    removed = {f"{member}ToRemove": member for member in MEMBERS_MAX}
    with looking():
        call.platform.experiments.update_component(
            name,
            {member: value for member, value in _written(request).items() if member not in removed},
            remove={member: request[asked] for asked, member in removed.items() if asked in request},
            start=request.get("StartTime"),
            end=request.get("EndTime"),
            principal=call.principal.name,
        )
    return {"TrialComponentArn": arn_of(call, Kind.TRIAL_COMPONENT, name)}


def delete(call: Call) -> dict[str, Any]:
    """Delete a trial component that belongs to no trial, and its metrics."""
    name = call.parameters["TrialComponentName"]
    with looking():
        call.platform.experiments.delete_component(name, principal=call.principal.name)
    return {"TrialComponentArn": arn_of(call, Kind.TRIAL_COMPONENT, name)}


def associate(call: Call) -> dict[str, Any]:
    """Make a trial component part of a trial."""
    component, trial = call.parameters["TrialComponentName"], call.parameters["TrialName"]
    with looking():
        call.platform.experiments.associate(component, trial, principal=call.principal.name)
    return _pair(call, component, trial)


def disassociate(call: Call) -> dict[str, Any]:
    """Take a trial component out of a trial."""
    component, trial = call.parameters["TrialComponentName"], call.parameters["TrialName"]
    with looking():
        call.platform.experiments.disassociate(component, trial, principal=call.principal.name)
    return _pair(call, component, trial)


def _pair(call: Call, component: str, trial: str) -> dict[str, Any]:
    return {
        "TrialComponentArn": arn_of(call, Kind.TRIAL_COMPONENT, component),
        "TrialArn": arn_of(call, Kind.TRIAL, trial),
    }


def _written(request: dict[str, Any]) -> dict[str, Any]:
    """Return what a document keeps of a request: all but its times."""
    return {member: value for member, value in request.items() if member not in TIMES}


def _describe_metric(name: str, summary: Summary, arn: str) -> dict[str, Any]:
    return {
        "MetricName": name,
        "SourceArn": arn,
        "TimeStamp": datetime.fromtimestamp(summary.last_at, UTC),
        "Max": summary.most,
        "Min": summary.least,
        "Last": summary.last,
        "Count": summary.count,
        "Avg": summary.mean,
        "StdDev": summary.deviation,
    }
