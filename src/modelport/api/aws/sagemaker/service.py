"""SageMaker's control plane: each operation, and what its caller must be allowed."""

from __future__ import annotations

from modelport.access.scopes import Scope
from modelport.api.aws.calls import Service
from modelport.api.aws.sagemaker import endpoint_configs, endpoints, models, packages, search, tags

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
        "AddTags": (_WRITE, tags.add),
        "ListTags": (_READ, tags.list_tags),
        "DeleteTags": (_WRITE, tags.delete),
        "Search": (Scope.PUBLIC, search.search),  # which scope it needs depends on what is searched
    },
)
