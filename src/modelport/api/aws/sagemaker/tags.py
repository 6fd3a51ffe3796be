"""Tags: AddTags, ListTags, DeleteTags."""

from __future__ import annotations

from typing import Any

from modelport.api.aws.calls import Call
from modelport.api.aws.sagemaker.arns import resource_of
from modelport.api.aws.sagemaker.telling import finding
from modelport.domain.resource import Tag


def add(call: Call) -> dict[str, Any]:
    """Add tags to a resource; a key that is there gets the new value."""
    arn = call.parameters["ResourceArn"]
    kind, name = resource_of(arn)
    tags = [Tag(item["Key"], item["Value"]) for item in call.parameters["Tags"]]
    with finding("resource", arn):
        return {"Tags": _told(call.platform.tags.add(kind, name, tags, principal=call.principal.name))}


def delete(call: Call) -> dict[str, Any]:
    """Take tags away."""
    arn = call.parameters["ResourceArn"]
    kind, name = resource_of(arn)
    with finding("resource", arn):
        call.platform.tags.remove(kind, name, call.parameters["TagKeys"], principal=call.principal.name)
    return {}


def list_tags(call: Call) -> dict[str, Any]:
    """Return the tags of a resource; there are never more than fit one page of 50."""
    arn = call.parameters["ResourceArn"]
    kind, name = resource_of(arn)
    with finding("resource", arn):
        return {"Tags": _told(call.platform.tags.of(kind, name))}


def _told(tags: tuple[Tag, ...]) -> list[dict[str, str]]:
    return [{"Key": tag.key, "Value": tag.value} for tag in tags]
