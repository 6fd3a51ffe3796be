"""What holds for every route: a scope, a gate, problems, a description."""

import json
import re
import socket

import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute

from fakes.doors import Doors
from modelport.access.scopes import GRANTABLE, Scope, covers
from modelport.api import operation
from modelport.api.callers import check_scopes, scope_of
from modelport.api.rest import artifacts, endpoints, history, jobs, registry

ROUTES = [
    (method, route)
    for door in (registry, endpoints, jobs, artifacts, history, operation)
    for route in door.router.routes
    for method in sorted(route.methods)
]
IDS = [f"{method} {route.path}" for method, route in ROUTES]
each_route = pytest.mark.parametrize(("method", "route"), ROUTES, ids=IDS)


def path_of(route):
    """Return the route's path with harmless names in it."""
    path = re.sub(r"\{(version)\}", "1", route.path)
    return re.sub(r"\{[a-z]+\}", "a" * 64, path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    doors = Doors(tmp_path_factory.mktemp("doors") / "home")
    yield doors
    doors.close()


@pytest.fixture(scope="module")
def guarded(shared):
    lines = [(scope.value.replace(":", "-"), scope.value, f"token-{scope.value}") for scope in GRANTABLE]
    with shared.with_tokens(*lines) as client:
        yield client


@each_route
def test_it_declares_a_scope(method, route):
    assert isinstance(scope_of(route), Scope)


@each_route
def test_it_asks_for_a_token_where_there_are_tokens(guarded, method, route):
    answer = guarded.request(method, path_of(route))
    if scope_of(route) is Scope.PUBLIC:
        assert answer.status_code == 200
        return
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    if method != "HEAD":
        assert answer.json()["code"] == "unauthenticated"


@each_route
def test_only_its_scope_opens_it(guarded, method, route):
    wanted = scope_of(route)
    for held in GRANTABLE:
        answer = guarded.request(
            method, path_of(route), headers={"Authorization": f"Bearer token-{held.value}"}
        )
        if covers(frozenset({held}), wanted):
            assert answer.status_code not in (401, 403)
        else:
            assert answer.status_code == 403


@each_route
def test_it_is_not_reached_under_a_foreign_name(shared, method, route):
    for headers in (
        {"Host": "evil.example"},
        {"Host": "localhost.evil.example:8090"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ):
        answer = shared.client.request(method, path_of(route), headers=headers)
        assert answer.status_code == 421
        assert answer.headers["content-type"] == "application/problem+json"


@each_route
def test_pages_of_other_sites_change_nothing(shared, method, route):
    answer = shared.client.request(method, path_of(route), headers={"Sec-Fetch-Site": "cross-site"})
    assert (answer.status_code == 421) == (method not in ("GET", "HEAD"))


@each_route
def test_every_answer_carries_the_security_headers(shared, method, route):
    answer = shared.client.request(method, path_of(route))
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_an_app_with_a_route_without_a_scope_does_not_start(doors):
    careless = APIRouter()

    @careless.get("/careless")
    def forgot() -> None:
        """Answer anybody."""

    doors.app.router.routes.extend(careless.routes)
    with pytest.raises(RuntimeError, match="/careless"):
        check_scopes(doors.app)


def test_two_host_headers_are_refused(shared):
    address = (shared.client.base_url.host, shared.client.base_url.port)
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 421 ")


def test_configured_names_pass(tmp_path):
    doors = Doors(tmp_path / "home", allowed_hosts="models.example")
    assert doors.client.get("/livez", headers={"Host": "models.example:8090"}).status_code == 200
    assert doors.client.get("/livez", headers={"Host": "other.example"}).status_code == 421
    doors.close()


def test_the_description_is_whole(shared):
    document = shared.client.get("/api/v1/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    described = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    expected = {
        (method, route.path)
        for method, route in ROUTES
        if isinstance(route, APIRoute) and route.include_in_schema
    }
    assert described == expected
    text = json.dumps(document)
    names = set(re.findall(r'"#/components/schemas/([^"]+)"', text))
    assert names <= set(document["components"]["schemas"])
    assert "Endpoint" in names
    assert not [name for name in names if name.startswith("Resource_")]
    for item in document["paths"].values():
        for operation_ in item.values():
            assert operation_["security"]
            assert "default" in operation_["responses"]


def test_unknown_paths_and_methods_are_problems(shared):
    missing = shared.client.get("/api/v1/nothing")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    wrong = shared.client.delete("/api/v1/events")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET")
    assert wrong.headers["content-type"] == "application/problem+json"
