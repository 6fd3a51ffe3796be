"""Model cards: what people say of a model, version by version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from modelport.domain.resource import Nothing, Resource, Tag

OPEN_MEMBERS: Mapping[str, tuple[str, ...]] = {
    "model_overview": ("model_id", "model_name"),
    "intended_uses": ("risk_rating",),
    "model_package_details": ("model_package_group_name", "model_package_arn"),
}
"""What a card says to who may see its metadata only. Source: DescribeModelCard, Content."""


class ModelCardStatus(StrEnum):
    """How far people are with a card."""

    DRAFT = "Draft"
    PENDING_REVIEW = "PendingReview"
    APPROVED = "Approved"
    ARCHIVED = "Archived"


@dataclass(frozen=True, slots=True)
class ModelCardSpec:
    """A card: what all its versions share, and the status of the newest.

    `request`: as it was asked for, without what versions have.
    """

    model_card_name: str
    model_card_status: ModelCardStatus
    tags: tuple[Tag, ...] = ()
    request: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelCardNotes:
    """Ours: the number of the newest version."""

    last_version: int = 1


@dataclass(frozen=True, slots=True)
class ModelCardVersionSpec:
    """One version of a card.

    Args:
        model_card_version: From 1.
        content: A JSON object, as text.
        model_card_status: Its status.
    """

    model_card_version: int
    content: str
    model_card_status: ModelCardStatus


ModelCard = Resource[ModelCardSpec, Nothing, ModelCardNotes]
ModelCardVersion = Resource[ModelCardVersionSpec, Nothing, Nothing]


def open_content(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a card's content says to who may see its metadata only.

    Args:
        content: The whole of it.
    """
    found = {}
    for part, names in OPEN_MEMBERS.items():
        given = content.get(part)
        kept = {name: given[name] for name in names if name in given} if isinstance(given, dict) else {}
        if kept:
            found[part] = kept
    return found
