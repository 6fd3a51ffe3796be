"""Experiments and trials."""

from __future__ import annotations

from typing import Any

from modelport.api.aws.calls import Call
from modelport.api.aws.paging import list_page
from modelport.api.aws.sagemaker.arns import arn_of
from modelport.api.aws.sagemaker.telling import keeping, looking
from modelport.domain.experiment import Experiment, ExperimentSpec, Trial, TrialSpec
from modelport.domain.resource import Kind
from modelport.wire.documents import from_request


def create(call: Call) -> dict[str, Any]:
    """Write down an experiment."""
    request = call.parameters
    name = request["ExperimentName"]
    with keeping("Experiment", name):
        spec = from_request(ExperimentSpec, request | {"Request": request})
        call.platform.experiments.create(spec, principal=call.principal.name)
    return {"ExperimentArn": arn_of(call, Kind.EXPERIMENT, name)}


def describe(call: Call) -> dict[str, Any]:
    """Describe an experiment."""
    with looking():
        found = call.platform.experiments.experiment(call.parameters["ExperimentName"])
    return describe_found(call, found)


def describe_found(call: Call, experiment: Experiment) -> dict[str, Any]:
    """Return an experiment as SageMaker describes it."""
    return {
        "DisplayName": experiment.name,
        **experiment.spec.request,
        "ExperimentArn": arn_of(call, Kind.EXPERIMENT, experiment.name),
        "CreationTime": experiment.created_at,
        "LastModifiedTime": experiment.modified_at,
    }


def list_experiments(call: Call) -> dict[str, Any]:
    """List the experiments."""
    page = list_page(spell_times(call.parameters), call.platform.experiments.experiments())
    summaries = [describe_found(call, experiment) for experiment in page.items]
    return {"ExperimentSummaries": summaries, "NextToken": page.next_token}


def update(call: Call) -> dict[str, Any]:
    """Change the display name or the description of an experiment."""
    name = call.parameters["ExperimentName"]
    with looking():
        call.platform.experiments.update(name, call.parameters, principal=call.principal.name)
    return {"ExperimentArn": arn_of(call, Kind.EXPERIMENT, name)}


def delete(call: Call) -> dict[str, Any]:
    """Delete an experiment that has no trials."""
    name = call.parameters["ExperimentName"]
    with looking():
        call.platform.experiments.delete(name, principal=call.principal.name)
    return {"ExperimentArn": arn_of(call, Kind.EXPERIMENT, name)}


def create_trial(call: Call) -> dict[str, Any]:
    """Write down a trial of an experiment."""
    request = call.parameters
    name = request["TrialName"]
    with keeping("Trial", name):
        spec = from_request(TrialSpec, request | {"Request": request})
        call.platform.experiments.create_trial(spec, principal=call.principal.name)
    return {"TrialArn": arn_of(call, Kind.TRIAL, name)}


def describe_trial(call: Call) -> dict[str, Any]:
    """Describe a trial."""
    with looking():
        found = call.platform.experiments.trial(call.parameters["TrialName"])
    return describe_found_trial(call, found)


def describe_found_trial(call: Call, trial: Trial) -> dict[str, Any]:
    """Return a trial as SageMaker describes it."""
    return {
        "DisplayName": trial.name,
        **trial.spec.request,
        "TrialArn": arn_of(call, Kind.TRIAL, trial.name),
        "CreationTime": trial.created_at,
        "LastModifiedTime": trial.modified_at,
    }


def list_trials(call: Call) -> dict[str, Any]:
    """List the trials, of an experiment or of a trial component where one is named."""
    asked = call.parameters
    with looking():
        found = call.platform.experiments.trials(
            experiment=asked.get("ExperimentName"), component=asked.get("TrialComponentName")
        )
    page = list_page(spell_times(asked), found)
    summaries = [describe_found_trial(call, trial) for trial in page.items]
    return {"TrialSummaries": summaries, "NextToken": page.next_token}


def update_trial(call: Call) -> dict[str, Any]:
    """Change the display name of a trial."""
    name = call.parameters["TrialName"]
    with looking():
        call.platform.experiments.update_trial(name, call.parameters, principal=call.principal.name)
    return {"TrialArn": arn_of(call, Kind.TRIAL, name)}


def delete_trial(call: Call) -> dict[str, Any]:
    """Delete a trial that no trial component is associated with."""
    name = call.parameters["TrialName"]
    with looking():
        call.platform.experiments.delete_trial(name, principal=call.principal.name)
    return {"TrialArn": arn_of(call, Kind.TRIAL, name)}


def spell_times(asked: dict[str, Any]) -> dict[str, Any]:
    """Return what a list asks for with its times named as those of the other lists."""
    renamed = {f"CreationTime{side}": asked.get(f"Created{side}") for side in ("After", "Before")}
    return asked | {name: at for name, at in renamed.items() if at is not None}
