"""Every constraint on every request is violated once: a 4xx with AWS's code, and nothing is made."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from fakes.aws import REGION
from modelport.api.aws.errors import AwsError
from modelport.api.aws.shapes import Shape, Table, load_table
from modelport.api.aws.validation import validate

TABLE = load_table("sagemaker")
METRICS = load_table("sagemaker-metrics")
EVERY = [(table, name) for table in (TABLE, METRICS) for name in sorted(table.operations)]
DEPTH_MAX = 5
WORDS = (
    "a",
    "s3://bucket/key",
    "arn:aws:sagemaker:eu-west-1:123456789012:model-package/group/1",
    "arn:aws:iam::123456789012:role/role",
    "arn:aws:sns:eu-west-1:123456789012:topic",
    "arn:aws:lambda:eu-west-1:123456789012:function:f",
    "arn:aws:sagemaker:eu-west-1:123456789012:hub-content/hub/Model/name/1.0.0",
    "123456789012",
    "https://example.com/",
    "text/csv",
    "1",
    "-1",
    "sha256:" + "0" * 64,
    "mig-1g.5gb",
    "/metrics",
    "1.0.0",
    *(
        f"arn:aws:sagemaker:eu-west-1:123456789012:{kind}/name"
        for kind in ("endpoint", "endpoint-config", "model", "model-package-group")
    ),
)
AUTHORIZATION = f"AWS4-HMAC-SHA256 Credential=AK/20260101/{REGION}/sagemaker/aws4_request, Signature=0"
CODES = {"ValidationException", "SerializationException"}


def sample(table: Table, name: str, depth: int = DEPTH_MAX) -> Any:
    """Return a value of a shape that breaks none of its constraints.

    It has all members down to a depth, and only required ones below.
    """
    shape = table.shapes[name]
    if shape.type == "structure":
        wanted = tuple(shape.members) if depth else shape.required
        wanted = wanted[:1] if shape.union else wanted
        return {member: sample(table, shape.members[member], max(depth - 1, 0)) for member in wanted}
    if shape.type == "list":
        return [sample(table, shape.member, max(depth - 1, 0))] * max(1, int(shape.min or 0))
    if shape.type == "map":
        inner = max(depth - 1, 0)
        return {sample(table, shape.key, inner): sample(table, shape.value, inner)}
    if shape.type in ("integer", "long"):
        return int(shape.min or 0)
    if shape.type in ("float", "double"):
        return float(shape.min or 0)
    if shape.type in ("boolean", "timestamp"):
        return True if shape.type == "boolean" else 1.5
    return _word(shape)


def _word(shape: Shape) -> str:
    if shape.enum:
        return shape.enum[0]
    least, most = int(shape.min or 0), shape.max or 1e9
    for word in (*WORDS, "a" * max(least, 1)):
        if least <= len(word) <= most and (not shape.pattern or re.fullmatch(shape.pattern, word)):
            return word
    raise AssertionError(f"no word fits {shape}")


def violations(table: Table, name: str, value: Any) -> Iterator[Any]:
    """Yield values that differ from a good one by one broken constraint each."""
    shape = table.shapes[name]
    yield {"structure": [], "list": {}, "map": [], "string": 5, "boolean": "yes"}.get(shape.type, "word")
    if shape.type == "structure":
        yield from _broken_structures(table, shape, value)
    elif shape.type == "list":
        yield from _broken_lists(table, shape, value)
    elif shape.type == "map":
        yield from _broken_maps(table, shape, value)
    elif shape.type == "string":
        yield from _broken_words(shape)
    elif shape.type not in ("boolean", "timestamp"):
        yield from (bound + step for bound, step in ((shape.min, -1), (shape.max, 1)) if bound is not None)


def _broken_structures(table: Table, shape: Shape, value: Any) -> Iterator[Any]:
    for member in shape.required:
        yield {key: item for key, item in value.items() if key != member}
    for member, item in value.items():
        for broken in violations(table, shape.members[member], item):
            yield {**value, member: broken}


def _broken_lists(table: Table, shape: Shape, value: Any) -> Iterator[Any]:
    for broken in violations(table, shape.member, value[0]):
        yield [broken, *value[1:]]
    if shape.min:
        yield value[: int(shape.min) - 1]
    if shape.max is not None and shape.max <= 1_000:
        yield [value[0]] * (int(shape.max) + 1)


def _broken_maps(table: Table, shape: Shape, value: Any) -> Iterator[Any]:
    ((key, item),) = value.items()
    for broken in violations(table, shape.value, item):
        yield {key: broken}
    for broken in violations(table, shape.key, key):
        if isinstance(broken, str):
            yield {broken: item}


def _broken_words(shape: Shape) -> Iterator[str]:
    if shape.enum:
        yield "NoSuchWord"
    if shape.min:
        yield "a" * (int(shape.min) - 1)
    if shape.max is not None and shape.max <= 20_000:
        yield "a" * (int(shape.max) + 1)
    if shape.pattern:
        for word in ("", "\n", "\x00", "not a name!", "_"):
            if not re.fullmatch(shape.pattern, word):
                yield word
                return


def send(doors, table: Table, operation: str, request: Any) -> Any:
    """Return the answer to a request, told by path or by header as its service wants it."""
    method, path = table.requests.get(operation, "POST /").split()
    headers = {"Authorization": AUTHORIZATION, "X-Amz-Target": f"SageMaker.{operation}"}
    return doors.client.request(method, path, content=json.dumps(request), headers=headers)


@pytest.mark.parametrize(("table", "operation"), EVERY, ids=[name for _, name in EVERY])
def test_a_sample_is_valid_and_each_violation_of_it_is_found(table, operation):
    name = table.operations[operation].input
    good = sample(table, name)
    assert validate(table, name, good) is not None
    for broken in violations(table, name, good):
        with pytest.raises(AwsError) as caught:
            validate(table, name, broken)
        assert caught.value.code in CODES, broken


def test_every_violation_gets_a_4xx_through_the_door_and_makes_nothing(doors):
    sent = 0
    for table, operation in EVERY:
        name = table.operations[operation].input
        for broken in violations(table, name, sample(table, name)):
            answer = send(doors, table, operation, broken)
            assert answer.status_code == 400, (operation, broken, answer.text)
            assert (answer.headers.get("x-amzn-errortype") or answer.json()["__type"]) in CODES
            assert answer.headers["x-amzn-requestid"]
            sent += 1
    assert sent > 500
    platform = doors.platform
    assert not platform.endpoints.models().items
    assert not platform.endpoints.configs().items
    assert not platform.endpoints.list().items
    assert not platform.inference_components.list().items
    assert not platform.registry.groups().items
    assert not platform.experiments.experiments()
    assert not platform.experiments.trials()
    assert not platform.experiments.components()
    assert not platform.model_cards.cards()


def test_requests_with_any_members_and_with_only_required_ones_are_never_a_fault_of_the_server(doors):
    for table, name in EVERY:
        least = sample(table, table.operations[name].input, 0)
        whole = sample(table, table.operations[name].input)
        for request in (least, *({**least, member: whole[member]} for member in whole), whole):
            answer = send(doors, table, name, request)
            assert answer.status_code in (200, 400), (name, request, answer.text)


def test_all_violations_are_told_at_once_in_awss_words():
    wish = {
        "EndpointConfigName": "a_b",
        "ProductionVariants": [{"ModelName": "m", "InitialInstanceCount": -1}],
    }
    with pytest.raises(AwsError) as caught:
        validate(TABLE, "CreateEndpointConfigInput", wish)
    message = caught.value.message
    assert message.startswith(
        "3 validation errors detected: Value 'a_b' at 'endpointConfigName' failed to satisfy"
    )
    assert "Value null at 'productionVariants.1.member.variantName' failed to satisfy constraint: " in message
    assert "Member must have value greater than or equal to 1" in message


@pytest.mark.parametrize("number", [2**31, -(2**31) - 1, 10**400])
def test_a_number_that_its_type_does_not_hold_is_told(number):
    with pytest.raises(AwsError) as caught:
        validate(TABLE, "ListModelsInput", {"MaxResults": number})
    assert caught.value.code == "SerializationException"


def test_members_nobody_knows_are_ignored():
    assert validate(TABLE, "DescribeModelInput", {"ModelName": "m", "Newer": {"a": 1}}) == {"ModelName": "m"}


def test_null_is_as_good_as_absent():
    assert validate(TABLE, "ListModelsInput", {"NameContains": None}) == {}
