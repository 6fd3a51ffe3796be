"""Model cards: each change is a version of its own, and all of them are kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

from modelport.control.services.resources import forget, make, rewrite
from modelport.domain.errors import InvalidInput
from modelport.domain.model_card import (
    ModelCard,
    ModelCardNotes,
    ModelCardSpec,
    ModelCardStatus,
    ModelCardVersion,
    ModelCardVersionSpec,
)
from modelport.domain.resource import Kind
from modelport.stores.records.records import Records
from modelport.stores.records.transaction import Transaction


class ModelCards:
    """Reads and writes model cards.

    Args:
        records: Where they are kept.
    """

    def __init__(self, records: Records) -> None:
        self._records = records

    def create(self, spec: ModelCardSpec, content: str, *, principal: str) -> ModelCard:
        """Write down the first version of a card.

        Args:
            spec: What all its versions share.
            content: A JSON object, as text.
            principal: Who asks.

        Raises:
            InvalidInput: The content is none.
            Conflict: The name is taken.
        """
        read_content(content)
        with self._records.transaction(principal=principal) as tx:
            card = make(tx, Kind.MODEL_CARD, spec.model_card_name, spec, notes=ModelCardNotes())
            _add_version(tx, card.name, ModelCardVersionSpec(1, content, spec.model_card_status))
            return card

    def update(
        self,
        name: str,
        *,
        content: str | None = None,
        status: ModelCardStatus | None = None,
        principal: str,
    ) -> ModelCard:
        """Write down the next version of a card; what is None is as in the newest.

        Raises:
            NotFound: There is none of that name.
            InvalidInput: The content is no JSON object, or both are given (source: UpdateModelCard).
        """
        if content is not None and status is not None:
            raise InvalidInput(
                "Content and ModelCardStatus are both given, expected one of them",
                hint="update the content first, then the status",
            )
        if content is not None:
            read_content(content)
        with self._records.transaction(principal=principal) as tx:
            card: ModelCard = tx.get(Kind.MODEL_CARD, name)
            newest: ModelCardVersion = _get_version(tx, card, None)
            number = card.modelport.last_version + 1
            wish = ModelCardVersionSpec(
                number,
                newest.spec.content if content is None else content,
                newest.spec.model_card_status if status is None else status,
            )
            _add_version(tx, name, wish)
            spec = replace(card.spec, model_card_status=wish.model_card_status)
            return rewrite(tx, replace(card, modelport=ModelCardNotes(number)), spec, f"version {number}")

    def card(self, name: str) -> ModelCard:
        """Return a card.

        Raises:
            NotFound: There is none of that name.
        """
        with self._records.reading() as tx:
            return tx.get(Kind.MODEL_CARD, name)

    def version(self, name: str, number: int | None = None) -> tuple[ModelCard, ModelCardVersion]:
        """Return a card and one of its versions, the newest for None.

        Raises:
            NotFound: There is no such card or version.
        """
        with self._records.reading() as tx:
            card: ModelCard = tx.get(Kind.MODEL_CARD, name)
            return card, _get_version(tx, card, number)

    def cards(self) -> list[ModelCard]:
        """Return all cards, by name."""
        with self._records.reading() as tx:
            return tx.all(Kind.MODEL_CARD)

    def versions(self, name: str) -> list[ModelCardVersion]:
        """Return the versions of a card.

        Raises:
            NotFound: There is none of that name.
        """
        with self._records.reading() as tx:
            tx.get(Kind.MODEL_CARD, name)
            return tx.all(Kind.MODEL_CARD_VERSION, parent=name)

    def delete(self, name: str, *, principal: str) -> None:
        """Delete a card with all its versions.

        Raises:
            NotFound: There is none of that name.
        """
        with self._records.transaction(principal=principal) as tx:
            card = tx.get(Kind.MODEL_CARD, name)
            for version in tx.all(Kind.MODEL_CARD_VERSION, parent=name):
                tx.remove(Kind.MODEL_CARD_VERSION, version.name)
            forget(tx, Kind.MODEL_CARD, card.name)


def read_content(content: str) -> dict[str, Any]:
    """Return the content of a card.

    Raises:
        InvalidInput: It is no JSON object.
    """
    try:
        return msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidInput(f"Content is not a JSON object: {error}") from error


def _add_version(tx: Transaction, card: str, spec: ModelCardVersionSpec) -> None:
    make(tx, Kind.MODEL_CARD_VERSION, _version_name(card, spec.model_card_version), spec, parent=card)


def _get_version(tx: Transaction, card: ModelCard, number: int | None) -> ModelCardVersion:
    wanted = card.modelport.last_version if number is None else number
    return tx.get(Kind.MODEL_CARD_VERSION, _version_name(card.name, wanted))


def _version_name(card: str, number: int) -> str:
    return f"{card}:{number}"
