"""Tags of resources: words for people and for searching, no part of any wish."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from modelport.domain.errors import InvalidInput
from modelport.domain.resource import Kind, Tag
from modelport.stores.records.records import Records

TAGS_MAX = 50
"""Source: SageMaker, AddTags."""


class Tags:
    """Reads and writes tags.

    Args:
        records: Where they are kept.
    """

    def __init__(self, records: Records) -> None:
        self._records = records

    def of(self, kind: Kind, name: str) -> tuple[Tag, ...]:
        """Return the tags of a resource.

        Raises:
            NotFound: There is none of that name.
        """
        with self._records.reading() as tx:
            return tuple(tx.get(kind, name).spec.tags)

    def add(self, kind: Kind, name: str, tags: Sequence[Tag], *, principal: str) -> tuple[Tag, ...]:
        """Add tags; one whose key is there replaces it. Return all of them.

        Raises:
            NotFound: There is none of that name.
            InvalidInput: There would be too many.
        """
        new = {tag.key: tag for tag in tags}
        with self._records.transaction(principal=principal) as tx:
            resource = tx.get(kind, name)
            merged = tuple(({tag.key: tag for tag in resource.spec.tags} | new).values())
            if len(merged) > TAGS_MAX:
                raise InvalidInput(f"{name!r} would have {len(merged)} tags, expected at most {TAGS_MAX}")
            tx.put(replace(resource, spec=replace(resource.spec, tags=merged)))
            tx.event("tag", kind, name, ", ".join(new))
        return merged

    def remove(self, kind: Kind, name: str, keys: Sequence[str], *, principal: str) -> None:
        """Take tags away; keys that are not there are nobody's trouble.

        Raises:
            NotFound: There is none of that name.
        """
        with self._records.transaction(principal=principal) as tx:
            resource = tx.get(kind, name)
            left = tuple(tag for tag in resource.spec.tags if tag.key not in set(keys))
            tx.put(replace(resource, spec=replace(resource.spec, tags=left)))
            tx.event("untag", kind, name, ", ".join(keys))
