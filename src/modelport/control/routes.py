"""The route tables on disk: one immutable file each, and which of them serves."""

from __future__ import annotations

import re
from pathlib import Path

from modelport.domain.errors import InvalidInput
from modelport.domain.routes import RouteTable
from modelport.durable import crash_point, write_durably
from modelport.wire.feed import active_file, decode_routes, encode_routes, route_file

KEPT = 20
"""Files of older tables that are kept, for whoever wants to know what served."""

_FILE = re.compile(r"([0-9]{12})\.json")


class RouteFiles:
    """The folder of route tables.

    Args:
        folder: `run/routes`; made when it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def active(self) -> RouteTable:
        """Return the table last activated; an empty one of revision 0 when there is none, or it is damaged.

        A damaged one is no loss: the loop finds that nothing is as wished, and publishes anew.
        """
        try:
            revision = int(active_file(self._folder).read_text("ascii"))
            return decode_routes(route_file(self._folder, revision).read_bytes())
        except (FileNotFoundError, ValueError, InvalidInput):
            return RouteTable(0)

    def newest_revision(self) -> int:
        """Return the largest revision ever written here that is still known; 0 when there is none."""
        return max(self._revisions(), default=0)

    def publish(self, table: RouteTable) -> None:
        """Write a table. It is not active yet."""
        crash_point("routes.before_publish")
        write_durably(route_file(self._folder, table.revision), encode_routes(table))
        crash_point("routes.published")

    def activate(self, revision: int) -> None:
        """Make a published table the one that workers start with."""
        write_durably(active_file(self._folder), str(revision).encode())
        crash_point("routes.activated")

    def prune(self, active: int) -> None:
        """Remove tables older than the active one, all but the newest few of them."""
        older = sorted(revision for revision in self._revisions() if revision < active)
        for revision in older[:-KEPT]:
            route_file(self._folder, revision).unlink(missing_ok=True)
            crash_point("routes.pruned")

    def _revisions(self) -> list[int]:
        return [
            int(match[1])
            for path in self._folder.iterdir()
            if (match := _FILE.fullmatch(path.name)) is not None
        ]
