"""Models, endpoint configs, endpoints, and the labels that come back."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter
from fastapi.responses import PlainTextResponse, Response

from modelport.access.principals import Principal
from modelport.access.scopes import Scope
from modelport.api.callers import may
from modelport.api.platform import Here
from modelport.api.rest.bodies import answer, body, nothing
from modelport.api.rest.schemas import Patience, serves
from modelport.control.services.labels import Accepted
from modelport.control.services.page import Page
from modelport.domain.endpoint import Endpoint, EndpointConfig, EndpointConfigSpec, EndpointSpec
from modelport.domain.errors import InvalidInput
from modelport.domain.names import parse_version
from modelport.domain.registry import Model, ModelSpec

router = APIRouter(prefix="/api/v1", tags=["endpoints"])
Reader = Annotated[Principal, may(Scope.ENDPOINTS_READ)]
Writer = Annotated[Principal, may(Scope.ENDPOINTS_WRITE)]
Labeller = Annotated[Principal, may(Scope.LABELS_WRITE)]

Scalar = str | int | float | bool


class OtherConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The wish that an endpoint serve another config.

    `deployment_config` says how traffic moves to it, in SageMaker's spelling (CreateEndpoint,
    DeploymentConfig); empty: all at once.
    """

    endpoint_config_name: str
    deployment_config: dict[str, Any] = {}


class Deployment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The wish that a version serve: Model, config and endpoint in one.

    `traffic_percent` is its true share, null for all of it; `capture_percent` null leaves capture as it is.
    """

    model_package: str
    traffic_percent: float | None = None
    shadow: bool = False
    capture_percent: float | None = None


class Promotion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The wish that one variant take all traffic."""

    variant: str


class Label(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The label of the row `<prediction id>#<row>`, or the labels of all rows of a prediction id."""

    id: str
    label: Scalar | list[Scalar]


class NewLabels(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Labels that came in."""

    labels: list[Label]


@router.get("/models", **serves(Page[Model]))
def list_models(platform: Here, _: Reader, after: str | None = None, limit: int | None = None) -> Response:
    """List the Models."""
    return answer(platform.endpoints.models(after=after, limit=limit))


@router.post("/models", **serves(Model, status=201))
def create_model(platform: Here, caller: Writer, wish: Annotated[ModelSpec, body(ModelSpec)]) -> Response:
    """Make a deployable pointer to the version that `model_package_name` points at now, or to an archive."""
    _check_ours(wish)
    return answer(platform.endpoints.create_model(wish, principal=caller.name), status=201)


@router.get("/models/{name}", **serves(Model))
def describe_model(platform: Here, _: Reader, name: str) -> Response:
    """Describe a Model."""
    return answer(platform.endpoints.model(name))


@router.delete("/models/{name}", **serves(None, status=204))
def delete_model(platform: Here, caller: Writer, name: str) -> Response:
    """Delete a Model that no endpoint uses."""
    platform.endpoints.delete_model(name, principal=caller.name)
    return nothing()


@router.get("/endpoint-configs", **serves(Page[EndpointConfig]))
def list_configs(platform: Here, _: Reader, after: str | None = None, limit: int | None = None) -> Response:
    """List the endpoint configs."""
    return answer(platform.endpoints.configs(after=after, limit=limit))


@router.post("/endpoint-configs", **serves(EndpointConfig, status=201))
def create_config(
    platform: Here, caller: Writer, wish: Annotated[EndpointConfigSpec, body(EndpointConfigSpec)]
) -> Response:
    """Make an endpoint config; it never changes afterwards."""
    _check_ours(wish)
    return answer(platform.endpoints.create_config(wish, principal=caller.name), status=201)


@router.get("/endpoint-configs/{name}", **serves(EndpointConfig))
def describe_config(platform: Here, _: Reader, name: str) -> Response:
    """Describe an endpoint config."""
    return answer(platform.endpoints.config(name))


@router.delete("/endpoint-configs/{name}", **serves(None, status=204))
def delete_config(platform: Here, caller: Writer, name: str) -> Response:
    """Delete an endpoint config that no endpoint serves."""
    platform.endpoints.delete_config(name, principal=caller.name)
    return nothing()


@router.get("/endpoints", **serves(Page[Endpoint]))
def list_endpoints(platform: Here, _: Reader, after: str | None = None, limit: int | None = None) -> Response:
    """List the endpoints."""
    return answer(platform.endpoints.list(after=after, limit=limit))


@router.post("/endpoints", **serves(Endpoint, status=202))
def create_endpoint(
    platform: Here, caller: Writer, wish: Annotated[EndpointSpec, body(EndpointSpec)]
) -> Response:
    """Wish for a new endpoint; poll it until it is InService."""
    return answer(platform.endpoints.create(wish, principal=caller.name), status=202)


@router.get("/endpoints/{name}", **serves(Endpoint))
def describe_endpoint(platform: Here, _: Reader, name: str, wait_s: Patience = 0.0) -> Response:
    """Describe an endpoint; `wait_s`: wait so many seconds, at most, until its newest wish is settled."""
    return answer(platform.endpoints.describe(name, wait_s=wait_s))


@router.delete("/endpoints/{name}", **serves(Endpoint, status=202))
def delete_endpoint(platform: Here, caller: Writer, name: str) -> Response:
    """Wish that an endpoint be gone; poll it until there is none."""
    return answer(platform.endpoints.delete(name, principal=caller.name), status=202)


@router.patch("/endpoints/{name}", **serves(Endpoint, status=202))
def update_endpoint(
    platform: Here, caller: Writer, name: str, wish: Annotated[OtherConfig, body(OtherConfig)]
) -> Response:
    """Wish that an endpoint serve another config."""
    endpoint = platform.endpoints.update(
        name,
        wish.endpoint_config_name,
        deployment_config=wish.deployment_config,
        principal=caller.name,
    )
    return answer(endpoint, status=202)


@router.put("/endpoints/{name}/weights", **serves(Endpoint, status=202))
def set_weights(
    platform: Here, caller: Writer, name: str, wish: Annotated[dict[str, float], body(dict[str, float])]
) -> Response:
    """Wish for other relative weights; variants left out keep theirs."""
    return answer(platform.endpoints.set_weights(name, wish, principal=caller.name), status=202)


@router.post("/endpoints/{name}/deployments", **serves(Endpoint, status=202))
def deploy(
    platform: Here, caller: Writer, name: str, wish: Annotated[Deployment, body(Deployment)]
) -> Response:
    """Wish that a version serve under this endpoint, which is made when there is none."""
    endpoint = platform.endpoints.deploy(
        name,
        parse_version(wish.model_package),
        traffic_percent=wish.traffic_percent,
        shadow=wish.shadow,
        capture_percent=wish.capture_percent,
        principal=caller.name,
    )
    return answer(endpoint, status=202)


@router.post("/endpoints/{name}/promote", **serves(Endpoint, status=202))
def promote(
    platform: Here, caller: Writer, name: str, wish: Annotated[Promotion, body(Promotion)]
) -> Response:
    """Wish that one variant take all traffic."""
    return answer(platform.endpoints.promote(name, wish.variant, principal=caller.name), status=202)


@router.post("/endpoints/{name}/rollback", **serves(Endpoint, status=202))
def rollback(platform: Here, caller: Writer, name: str) -> Response:
    """Wish for the config and weights served before."""
    return answer(platform.endpoints.rollback(name, principal=caller.name), status=202)


@router.get("/endpoints/{name}/log", **serves(str))
def read_log(platform: Here, _: Reader, name: str) -> Response:
    """Return the ends of the logs of an endpoint's replicas of custom code."""
    return PlainTextResponse(platform.replica_logs.of(name))


@router.post("/endpoints/{name}/labels", **serves(Accepted))
def accept_labels(
    platform: Here, caller: Labeller, name: str, wish: Annotated[NewLabels, body(NewLabels)]
) -> Response:
    """Keep labels, all of them or none; they are durable when this answers."""
    pairs = [(label.id, label.label) for label in wish.labels]
    return answer(platform.labels.accept(name, pairs, principal=caller.name))


def _check_ours(wish: ModelSpec | EndpointConfigSpec) -> None:
    if wish.request:
        raise InvalidInput(
            "`request` is kept for AWS clients, whose words it repeats", hint="leave it out of the document"
        )
