"""ARNs of our resources, and what callers may write in their place.

Source: SageMaker API reference, the ARN of each resource; names are kept as they were written.
"""

from __future__ import annotations

import re

from modelport.api.aws.calls import Call
from modelport.api.aws.errors import AwsError
from modelport.domain.resource import Kind

PATHS = {
    Kind.MODEL: "model",
    Kind.ENDPOINT_CONFIG: "endpoint-config",
    Kind.ENDPOINT: "endpoint",
    Kind.INFERENCE_COMPONENT: "inference-component",
    Kind.MODEL_PACKAGE_GROUP: "model-package-group",
    Kind.MODEL_PACKAGE: "model-package",
    Kind.TRANSFORM_JOB: "transform-job",
    Kind.PROCESSING_JOB: "processing-job",
    Kind.EXPERIMENT: "experiment",
    Kind.TRIAL: "experiment-trial",
    Kind.TRIAL_COMPONENT: "experiment-trial-component",
    Kind.MODEL_CARD: "model-card",
}
_KINDS = {path: kind for kind, path in PATHS.items()}
_ARN = re.compile(r"arn:aws[a-z-]*:sagemaker:[a-z0-9-]*:[0-9]{12}:([a-z-]+)/(.+)", re.ASCII)
_VERSIONED = re.compile(r"(.+)/([1-9][0-9]{0,8})", re.ASCII)


def arn_of(call: Call, kind: Kind, name: str) -> str:
    """Return the ARN of a resource, in the caller's account and region.

    Args:
        call: Whose.
        kind: Of the resource.
        name: Its name; a package's is `GROUP:VERSION`, and its ARN ends with `/GROUP/VERSION`.
    """
    path = name.replace(":", "/") if kind is Kind.MODEL_PACKAGE else name
    return f"arn:aws:sagemaker:{call.region}:{call.account}:{PATHS[kind]}/{path}"


def resource_of(arn: str) -> tuple[Kind, str]:
    """Return which resource an ARN names.

    Raises:
        AwsError: It is not the ARN of a kind of resource that there is here.
    """
    match = _ARN.fullmatch(arn)
    kind = None if match is None else _KINDS.get(match[1])
    if match is None or kind is None:
        raise AwsError(
            "ValidationException", f"Invalid ARN: {arn[:200]!r} names no resource of this platform."
        )
    return kind, _own(kind, match[2])


def name_in(text: str, kind: Kind) -> str:
    """Return the name of a resource that a caller wrote as a name or as an ARN.

    Raises:
        AwsError: It is an ARN of another kind.
    """
    if not text.startswith("arn:"):
        return _own(kind, text)
    found, name = resource_of(text)
    if found is not kind:
        raise AwsError("ValidationException", f"{text[:200]!r} is not the ARN of a {PATHS[kind]}.")
    return name


def _own(kind: Kind, name: str) -> str:
    if kind is not Kind.MODEL_PACKAGE:
        return name
    match = _VERSIONED.fullmatch(name)
    return f"{match[1]}:{match[2]}" if match else name
