"""What happened."""

from __future__ import annotations

from modelport.control.services.page import Page, bounded
from modelport.domain.errors import InvalidInput
from modelport.domain.resource import Event, Kind
from modelport.stores.records.records import Records


class Events:
    """The append-only history.

    Args:
        records: Where it is kept.
    """

    def __init__(self, records: Records) -> None:
        self._records = records

    def list(
        self,
        *,
        kind: Kind | str | None = None,
        name: str | None = None,
        after: int | str | None = None,
        limit: int | None = None,
    ) -> Page[Event]:
        """Return events in their order.

        Args:
            kind: Only of this kind of resource, for example `Endpoint`.
            name: Only of resources of this name.
            after: Only those after this sequence number; `next` of the page before.
            limit: At most so many.

        Raises:
            InvalidInput: There is no such kind, or `after` is not a number.
        """
        try:
            chosen = None if kind is None else Kind(kind)
        except ValueError:
            known = ", ".join(item.value for item in Kind)
            raise InvalidInput(f"there is no kind {kind!r}", hint=f"kinds: {known}") from None
        try:
            start = int(after or 0)
        except ValueError:
            raise InvalidInput(f"event number {after!r} is not a number") from None
        size = bounded(limit)
        with self._records.reading() as tx:
            found = tx.events(kind=chosen, name=name, after=start, limit=size + 1)
        more = len(found) > size
        return Page(tuple(found[:size]), str(found[size - 1].sequence) if more else None)
