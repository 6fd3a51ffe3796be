"""What an endpoint's replicas printed is read from their logs, and from no other endpoint's."""

from __future__ import annotations

import os

from modelport.control.services.replica_logs import LOGS_MAX, TAIL_BYTES
from modelport.domain.endpoint import EndpointConfigSpec, EndpointSpec, ProductionVariant
from modelport.domain.registry import ContainerDefinition, ModelSpec


def endpoint(doors, name):
    services = doors.platform.endpoints
    if not services.models().items:
        reference = doors.register()
        services.create_model(ModelSpec("m", ContainerDefinition(reference)), principal="test")
        services.create_config(EndpointConfigSpec("c", (ProductionVariant("a", "m"),)), principal="test")
    services.create(EndpointSpec(name, "c"), principal="test")
    return name


def log(doors, name, text, at):
    path = doors.settings.layout.logs / f"replica-{name}.log"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    os.utime(path, (at, at))


def test_the_newest_logs_of_an_endpoint_come_the_newest_last(doors):
    name = endpoint(doors, "air")
    digest = "0123456789abcdef"
    for number in range(LOGS_MAX + 2):
        log(doors, f"air-{digest}-{number}", f"line of {number}", at=number)
    log(doors, f"air-x-{digest}-0", "of another endpoint", at=99)
    told = doors.client.get(f"/api/v1/endpoints/{name}/log").text
    assert told.count("──") == LOGS_MAX
    assert told.endswith(f"── replica-air-{digest}-{LOGS_MAX + 1}\nline of {LOGS_MAX + 1}\n")
    assert "another" not in told


def test_a_long_log_is_cut_and_an_endpoint_without_code_has_none(doors):
    assert doors.client.get("/api/v1/endpoints/none/log").status_code == 404
    name = endpoint(doors, "air")
    assert doors.client.get(f"/api/v1/endpoints/{name}/log").text == ""
    log(doors, "air-0123456789abcdef-0", "x" * 3 * TAIL_BYTES, at=1)
    assert len(doors.client.get(f"/api/v1/endpoints/{name}/log").text) < TAIL_BYTES + 100
