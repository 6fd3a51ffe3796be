"""What keeps AWS tools at a platform: variables for every AWS SDK, and a configuration for SageMaker's.

Source: AWS SDKs and tools reference, AWS_ENDPOINT_URL; sagemaker-python-sdk, "Configuring and using defaults
with the SageMaker Python SDK". Wherever it is pointed, that SDK asks STS at AWS itself for its default bucket
and role, and tells AWS what it is used for: a configured bucket and role, and TelemetryOptOut, spare it both.
"""

from __future__ import annotations

from pathlib import Path

from modelport.domain.objects import check_bucket_name

ROLE = "arn:aws:iam::123456789012:role/modelport"
KEY = "modelport"  # any key opens loopback
_ROLES = {
    "Model": "ExecutionRoleArn",
    "TrainingJob": "RoleArn",
    "ProcessingJob": "RoleArn",
    "Pipeline": "RoleArn",
}


def aws_variables(url: str, region: str, configuration: Path) -> dict[str, str]:
    """Return the environment of a program that is to speak to a platform instead of AWS.

    Args:
        url: Of the control port.
        region: Any; ARNs carry it.
        configuration: Where the SageMaker SDK's configuration lies.
    """
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": KEY,
        "AWS_DEFAULT_REGION": region,
        "SAGEMAKER_USER_CONFIG_OVERRIDE": str(configuration),
    }


def sagemaker_configuration(bucket: str) -> str:
    """Return the SageMaker SDK's configuration, as YAML.

    Args:
        bucket: Where the SDK keeps what it uploads; it makes it.

    Raises:
        InvalidInput: A bucket may not be called that.
    """
    check_bucket_name(bucket)
    lines = [
        "SchemaVersion: '1.0'",
        "SageMaker:",
        "  PythonSDK:",
        "    Modules:",
        "      TelemetryOptOut: true",
        "      Session:",
        f"        DefaultS3Bucket: '{bucket}'",
    ]
    for resource, member in _ROLES.items():
        lines += [f"  {resource}:", f"    {member}: {ROLE}"]
    return "\n".join(lines) + "\n"
