"""SageMaker's control plane: each operation, and what its caller must be allowed."""

from __future__ import annotations

from modelport.access.scopes import Scope
from modelport.api.aws.calls import Service
from modelport.api.aws.sagemaker import (
    endpoint_configs,
    endpoints,
    experiments,
    model_cards,
    models,
    packages,
    search,
    tags,
    trial_components,
)

_READ, _WRITE = Scope.ENDPOINTS_READ, Scope.ENDPOINTS_WRITE

SAGEMAKER = Service(
    "sagemaker",
    {
        "CreateModel": (_WRITE, models.create),
        "DescribeModel": (_READ, models.describe),
        "ListModels": (_READ, models.list_models),
        "DeleteModel": (_WRITE, models.delete),
        "CreateEndpointConfig": (_WRITE, endpoint_configs.create),
        "DescribeEndpointConfig": (_READ, endpoint_configs.describe),
        "ListEndpointConfigs": (_READ, endpoint_configs.list_configs),
        "DeleteEndpointConfig": (_WRITE, endpoint_configs.delete),
        "CreateEndpoint": (_WRITE, endpoints.create),
        "DescribeEndpoint": (_READ, endpoints.describe),
        "ListEndpoints": (_READ, endpoints.list_endpoints),
        "UpdateEndpoint": (_WRITE, endpoints.update),
        "UpdateEndpointWeightsAndCapacities": (_WRITE, endpoints.update_weights),
        "DeleteEndpoint": (_WRITE, endpoints.delete),
        "CreateModelPackageGroup": (Scope.REGISTRY_WRITE, packages.create_group),
        "DescribeModelPackageGroup": (Scope.REGISTRY_READ, packages.describe_group),
        "ListModelPackageGroups": (Scope.REGISTRY_READ, packages.list_groups),
        "DeleteModelPackageGroup": (Scope.REGISTRY_WRITE, packages.delete_group),
        "CreateModelPackage": (Scope.REGISTRY_WRITE, packages.create),
        "DescribeModelPackage": (Scope.REGISTRY_READ, packages.describe),
        "ListModelPackages": (Scope.REGISTRY_READ, packages.list_packages),
        "UpdateModelPackage": (Scope.REGISTRY_WRITE, packages.update),
        "DeleteModelPackage": (Scope.REGISTRY_WRITE, packages.delete),
        "BatchDescribeModelPackage": (Scope.REGISTRY_READ, packages.describe_batch),
        "CreateExperiment": (Scope.REGISTRY_WRITE, experiments.create),
        "DescribeExperiment": (Scope.REGISTRY_READ, experiments.describe),
        "ListExperiments": (Scope.REGISTRY_READ, experiments.list_experiments),
        "UpdateExperiment": (Scope.REGISTRY_WRITE, experiments.update),
        "DeleteExperiment": (Scope.REGISTRY_WRITE, experiments.delete),
        "CreateTrial": (Scope.REGISTRY_WRITE, experiments.create_trial),
        "DescribeTrial": (Scope.REGISTRY_READ, experiments.describe_trial),
        "ListTrials": (Scope.REGISTRY_READ, experiments.list_trials),
        "UpdateTrial": (Scope.REGISTRY_WRITE, experiments.update_trial),
        "DeleteTrial": (Scope.REGISTRY_WRITE, experiments.delete_trial),
        "CreateTrialComponent": (Scope.REGISTRY_WRITE, trial_components.create),
        "DescribeTrialComponent": (Scope.REGISTRY_READ, trial_components.describe),
        "ListTrialComponents": (Scope.REGISTRY_READ, trial_components.list_components),
        "UpdateTrialComponent": (Scope.REGISTRY_WRITE, trial_components.update),
        "DeleteTrialComponent": (Scope.REGISTRY_WRITE, trial_components.delete),
        "AssociateTrialComponent": (Scope.REGISTRY_WRITE, trial_components.associate),
        "DisassociateTrialComponent": (Scope.REGISTRY_WRITE, trial_components.disassociate),
        "CreateModelCard": (Scope.REGISTRY_WRITE, model_cards.create),
        "DescribeModelCard": (Scope.REGISTRY_READ, model_cards.describe),
        "UpdateModelCard": (Scope.REGISTRY_WRITE, model_cards.update),
        "ListModelCards": (Scope.REGISTRY_READ, model_cards.list_cards),
        "ListModelCardVersions": (Scope.REGISTRY_READ, model_cards.list_versions),
        "DeleteModelCard": (Scope.REGISTRY_WRITE, model_cards.delete),
        "AddTags": (_WRITE, tags.add),
        "ListTags": (_READ, tags.list_tags),
        "DeleteTags": (_WRITE, tags.delete),
        "Search": (Scope.PUBLIC, search.search),  # which scope it needs depends on what is searched
    },
)
