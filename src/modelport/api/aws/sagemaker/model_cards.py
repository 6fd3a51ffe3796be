"""Model cards and their versions."""

from __future__ import annotations

from typing import Any

import msgspec

from modelport.api.aws.calls import Call
from modelport.api.aws.errors import AwsError
from modelport.api.aws.paging import list_page
from modelport.api.aws.sagemaker.arns import arn_of, name_in
from modelport.api.aws.sagemaker.telling import looking
from modelport.control.services.model_cards import read_content
from modelport.domain.errors import Conflict
from modelport.domain.model_card import ModelCardSpec, ModelCardStatus, open_content
from modelport.domain.resource import Kind
from modelport.wire.documents import from_request

OF_VERSIONS = ("Content", "ModelCardStatus")


def create(call: Call) -> dict[str, Any]:
    """Write down the first version of a card."""
    request = call.parameters
    shared = {member: value for member, value in request.items() if member not in OF_VERSIONS}
    spec = from_request(ModelCardSpec, request | {"Request": shared})
    try:
        call.platform.model_cards.create(spec, request["Content"], principal=call.principal.name)
    except Conflict as error:
        raise AwsError("ConflictException", f"{error.message}; {error.hint}") from error
    return {"ModelCardArn": arn_of(call, Kind.MODEL_CARD, spec.model_card_name)}


def describe(call: Call) -> dict[str, Any]:
    """Describe a version of a card, the newest where none is named."""
    asked = call.parameters
    name = name_in(asked["ModelCardName"], Kind.MODEL_CARD)
    with looking():
        card, version = call.platform.model_cards.version(name, asked.get("ModelCardVersion"))
    content = version.spec.content
    if asked.get("IncludedData") == "MetadataOnly":
        content = msgspec.json.encode(open_content(read_content(content))).decode()
    return card.spec.request | {
        "ModelCardArn": arn_of(call, Kind.MODEL_CARD, name),
        "ModelCardVersion": version.spec.model_card_version,
        "Content": content,
        "ModelCardStatus": version.spec.model_card_status.value,
        "CreationTime": card.created_at,
        "CreatedBy": {},
        "LastModifiedTime": version.created_at,
    }


def update(call: Call) -> dict[str, Any]:
    """Write down the next version of a card: another content, or another status."""
    asked = call.parameters
    name = name_in(asked["ModelCardName"], Kind.MODEL_CARD)
    status = asked.get("ModelCardStatus")
    with looking():
        call.platform.model_cards.update(
            name,
            content=asked.get("Content"),
            status=None if status is None else ModelCardStatus(status),
            principal=call.principal.name,
        )
    return {"ModelCardArn": arn_of(call, Kind.MODEL_CARD, name)}


def list_cards(call: Call) -> dict[str, Any]:
    """List the cards."""
    wanted = call.parameters.get("ModelCardStatus")
    found = call.platform.model_cards.cards()
    page = list_page(
        call.parameters, [card for card in found if wanted in (None, card.spec.model_card_status.value)]
    )
    summaries = [
        {
            "ModelCardName": card.name,
            "ModelCardArn": arn_of(call, Kind.MODEL_CARD, card.name),
            "ModelCardStatus": card.spec.model_card_status.value,
            "CreationTime": card.created_at,
            "LastModifiedTime": card.modified_at,
        }
        for card in page.items
    ]
    return {"ModelCardSummaries": summaries, "NextToken": page.next_token}


def list_versions(call: Call) -> dict[str, Any]:
    """List the versions of a card."""
    asked = call.parameters
    name, wanted = name_in(asked["ModelCardName"], Kind.MODEL_CARD), asked.get("ModelCardStatus")
    with looking():
        found = call.platform.model_cards.versions(name)
    page = list_page(
        {"SortBy": "Version", **asked},
        [version for version in found if wanted in (None, version.spec.model_card_status.value)],
        version=lambda version: version.spec.model_card_version,
    )
    summaries = [
        {
            "ModelCardName": name,
            "ModelCardArn": arn_of(call, Kind.MODEL_CARD, name),
            "ModelCardStatus": version.spec.model_card_status.value,
            "ModelCardVersion": version.spec.model_card_version,
            "CreationTime": version.created_at,
            "LastModifiedTime": version.modified_at,
        }
        for version in page.items
    ]
    return {"ModelCardVersionSummaryList": summaries, "NextToken": page.next_token}


def delete(call: Call) -> None:
    """Delete a card with all its versions."""
    with looking():
        call.platform.model_cards.delete(call.parameters["ModelCardName"], principal=call.principal.name)
