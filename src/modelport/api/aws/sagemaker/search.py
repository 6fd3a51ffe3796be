"""Search over models, endpoints, the registry, and experiments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from modelport.access.scopes import Scope
from modelport.api.aws.calls import Call
from modelport.api.aws.errors import AwsError
from modelport.api.aws.numbered import read_token, write_token
from modelport.api.aws.paging import every
from modelport.api.aws.sagemaker import endpoints, experiments, models, packages, trial_components
from modelport.api.aws.sagemaker.search_filters import matches, value_of
from modelport.api.aws.shaping import WRITTEN_EMPTY
from modelport.domain.errors import InvalidInput
from modelport.domain.resource import Resource

PAGE = 100
Document = dict[str, Any]


def search(call: Call) -> Document:
    """Return the resources of a kind that fit an expression."""
    asked = call.parameters
    kind = _KINDS.get(asked["Resource"])
    if kind is None:
        return {"Results": [], "TotalHits": {"Value": 0, "Relation": "EqualTo"}}  # there are none of it here
    scope, read, wrap = kind
    call.principal.require(scope)
    try:
        found = [one for one in read(call) if matches(one, asked.get("SearchExpression", {}))]
    except InvalidInput as error:
        raise AwsError("ValidationException", error.message) from error
    newest_first = asked.get("SortOrder", "Descending") == "Descending"
    by = asked.get("SortBy", "LastModifiedTime")
    found.sort(key=lambda one: _rank(value_of(one, by)), reverse=newest_first)
    start, size = read_token(asked.get("NextToken")), asked.get("MaxResults", PAGE)
    more = start + size < len(found)
    return {
        "Results": [wrap(one) for one in found[start : start + size]],
        "NextToken": write_token(start + size) if more else None,
        "TotalHits": {"Value": len(found), "Relation": "EqualTo"},
    }


def _read_models(call: Call) -> list[Document]:
    services = call.platform.endpoints
    found = every(lambda after, limit: services.models(after=after, limit=limit))
    return [_tagged(models.describe_found(call, model), model) for model in found]


def _read_endpoints(call: Call) -> list[Document]:
    services = call.platform.endpoints
    found = every(lambda after, limit: services.list(after=after, limit=limit))
    return [_tagged(endpoints.describe_found(call, endpoint), endpoint) for endpoint in found]


def _read_groups(call: Call) -> list[Document]:
    registry = call.platform.registry
    found = every(lambda after, limit: registry.groups(after=after, limit=limit))
    return [_tagged(packages.describe_found_group(call, group), group) for group in found]


def _read_packages(call: Call) -> list[Document]:
    registry = call.platform.registry
    groups = every(lambda after, limit: registry.groups(after=after, limit=limit))
    return [
        _tagged(packages.describe_found(call, package), package)
        for group in groups
        for package in packages.versions_of(call, group)
    ]


def _read_experiments(call: Call) -> list[Document]:
    found = call.platform.experiments.experiments()
    return [_tagged(experiments.describe_found(call, one), one) for one in found]


def _read_trials(call: Call) -> list[Document]:
    known = {one.name: one for one in call.platform.experiments.components()}
    return [
        _tagged(experiments.describe_found_trial(call, trial), trial)
        | {
            "TrialComponentSummaries": [
                trial_components.summarize(call, known[name])
                for name in trial.modelport.components
                if name in known
            ]
        }
        for trial in call.platform.experiments.trials()
    ]


def _read_components(call: Call) -> list[Document]:
    owners = {trial.name: trial.parent for trial in call.platform.experiments.trials()}
    return [
        _tagged(trial_components.describe_found(call, one), one)
        | {
            "Parents": [
                {"TrialName": name, "ExperimentName": owners[name]}
                for name in one.modelport.trials
                if name in owners
            ]
        }
        for one in call.platform.experiments.components()
    ]


_KINDS: Mapping[str, tuple[Scope, Callable[[Call], list[Document]], Callable[[Document], Document]]] = {
    "Model": (Scope.ENDPOINTS_READ, _read_models, lambda found: {"Model": {"Model": found}}),
    "Endpoint": (Scope.ENDPOINTS_READ, _read_endpoints, lambda found: {"Endpoint": found}),
    "ModelPackageGroup": (Scope.REGISTRY_READ, _read_groups, lambda found: {"ModelPackageGroup": found}),
    "ModelPackage": (Scope.REGISTRY_READ, _read_packages, lambda found: {"ModelPackage": found}),
    "Experiment": (Scope.REGISTRY_READ, _read_experiments, lambda found: {"Experiment": found}),
    "ExperimentTrial": (Scope.REGISTRY_READ, _read_trials, lambda found: {"Trial": found}),
    "ExperimentTrialComponent": (
        Scope.REGISTRY_READ,
        _read_components,
        lambda found: {"TrialComponent": {name: {} for name in WRITTEN_EMPTY["TrialComponent"]} | found},
    ),
}
"""Kind of resource: what its reader needs, how it is read, and where it stands in a result."""


def _tagged(document: Document, resource: Resource[Any, Any, Any]) -> Document:
    tags = [{"Key": tag.key, "Value": tag.value} for tag in resource.spec.tags]
    return {"LastModifiedTime": resource.modified_at, **document, "Tags": tags}


def _rank(value: Any) -> tuple[int, Any]:
    """Return what a value is sorted by; what is not there comes first."""
    if value is None:
        return 0, 0
    return (1, value.timestamp()) if isinstance(value, datetime) else (2, str(value))
