"""Real AWS clients of a platform, whose every reply is held against botocore's own model."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Hashable
from types import TracebackType
from typing import Any, Self

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape

from fakes.callers import ACCESS_KEY
from fakes.platform import wait_for

REGION = "eu-west-1"
BUCKET = "bucket"
SOON = {"Delay": 1, "MaxAttempts": 30}
CONFIG = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=30)
NUMBERS = {
    "integer": int,
    "long": int,
    "float": (int, float),
    "double": (int, float),
    "timestamp": (int, float),
}
CHECKED = ("sagemaker", "sagemaker-metrics")
WRITTEN_EMPTY = {"TrialComponent": ("Parameters", "InputArtifacts", "OutputArtifacts")}
"""Maps that AWS writes though nothing is in them."""
checked: list[str] = []
"""The operations whose replies were checked."""


def client(service: str, url: str, secret: str = "secret", **options: Any) -> Any:
    """Return a boto3 client of a platform; replies of SageMaker's control plane are checked as they come."""
    made = boto3.client(
        service,
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=secret,
        config=CONFIG.merge(Config(**options)),
    )
    if service in CHECKED:
        made.meta.events.register(f"after-call.{service}", _check)
    return made


def code_of(call: Any, **parameters: Any) -> str:
    """Make a call that must be refused; return the code of its error."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return caught.value.response["Error"]["Code"]


def _check(http_response: Any, model: OperationModel, **_: Any) -> None:
    if http_response.status_code == 200:
        check_reply(json.loads(http_response.content or b"{}"), model.output_shape)
        checked.append(model.name)


def check_reply(value: Any, shape: Shape | None, path: str = "") -> None:
    """Fail where a reply is not what its shape says: types, required members, enums, no more, no nulls."""
    if shape is None:
        assert value == {}, path
    elif isinstance(shape, StructureShape):
        assert isinstance(value, dict), path
        assert not set(value) - set(shape.members), f"{path} has members of no shape"
        assert not set(shape.required_members) - set(value), f"{path} lacks required members"
        for name, item in value.items():
            kept = {*shape.required_members, *WRITTEN_EMPTY.get(shape.name, ())}
            assert item not in (None, {}) or name in kept, f"{path}.{name} is {item!r}"
            check_reply(item, shape.members[name], f"{path}.{name}")
    elif isinstance(shape, ListShape):
        assert isinstance(value, list), path
        for item in value:
            check_reply(item, shape.member, f"{path}[]")
    elif isinstance(shape, MapShape):
        assert isinstance(value, dict), path
        for name, item in value.items():
            check_reply(name, shape.key, path)
            check_reply(item, shape.value, f"{path}.{name}")
    elif shape.type_name in NUMBERS:
        assert isinstance(value, NUMBERS[shape.type_name]), path
        assert not isinstance(value, bool), path
    elif shape.type_name == "boolean":
        assert isinstance(value, bool), path
    else:
        assert isinstance(value, str), path
        assert not shape.enum or value in shape.enum, f"{path} is {value!r}"


def make(
    sagemaker: Any,
    archives: Callable[[str], str],
    name: str,
    image: str = "onnx",
    **variants: tuple[str, float],
) -> None:
    """Make a Model for each variant, and a config of them.

    Args:
        sagemaker: A client.
        archives: Returns the URL of an archive by its name.
        name: Of the config, and the beginning of the Models'.
        image: Of the containers.
        variants: Name to archive and weight, as in `A=("says-0", 0.7)`.
    """
    for variant, (archive, _) in variants.items():
        sagemaker.create_model(
            ModelName=f"{name}-{variant}",
            ExecutionRoleArn="arn:aws:iam::123456789012:role/any",
            PrimaryContainer={"Image": image, "ModelDataUrl": archives(archive)},
        )
    sagemaker.create_endpoint_config(
        EndpointConfigName=name,
        ProductionVariants=[
            {
                "VariantName": variant,
                "ModelName": f"{name}-{variant}",
                "InitialInstanceCount": 1,
                "InstanceType": "ml.m5.large",
                "InitialVariantWeight": weight,
            }
            for variant, (_, weight) in variants.items()
        ],
    )


def settled(sagemaker: Any, endpoint: str) -> Any:
    """Return an endpoint once nothing is under way."""

    def look() -> Any:
        found = sagemaker.describe_endpoint(EndpointName=endpoint)
        return found if found["EndpointStatus"] not in ("Creating", "Updating", "RollingBack") else None

    return wait_for(look, 60.0, what=f"the end of the change of {endpoint}")


class Asking:
    """Programs that ask an endpoint in a closed loop, until the block ends.

    Args:
        url: Of the inference port.
        ask: Asks once, with a client of the runtime; returns what was said.
        programs: How many.

    Attributes:
        said: How often each answer came.
        failed: Every request that was not answered.
    """

    def __init__(self, url: str, ask: Callable[[Any], Hashable], programs: int = 4) -> None:
        self.said: Counter[Hashable] = Counter()
        self.failed: list[Exception] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(url, ask)) for _ in range(programs)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, url: str, ask: Callable[[Any], Hashable]) -> None:
        runtime = client("sagemaker-runtime", url)
        while not self._stop.is_set():
            try:
                self.said[ask(runtime)] += 1
            except Exception as error:  # noqa: BLE001 - each one is a failure
                self.failed.append(error)
