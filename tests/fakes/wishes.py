"""A writer that remembers which of its wishes were acknowledged."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

import httpx

from fakes.platform import Platform

PAUSE_S = 0.01


class AcknowledgedWishes:
    """Creates one model group after the other, in a thread of its own, until the block ends.

    A wish whose answer did not come may or may not be kept; one that was acknowledged must be.

    Args:
        platform: Where to; its addresses may change meanwhile.
        prefix: Of the names.
    """

    def __init__(self, platform: Platform, prefix: str = "wish") -> None:
        self.platform = platform
        self.prefix = prefix
        self.acknowledged: list[str] = []
        self.unanswered = 0
        self.refused: list[str] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="wishes", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(60.0)

    def lost(self) -> list[str]:
        """Return what was acknowledged and is not there. Ask when the platform is up again."""
        kept: set[str] = set()
        after = None
        while True:
            query = f"?limit=100&after={after}" if after else "?limit=100"
            page = self.platform.ask("GET", f"/model-package-groups{query}")
            kept |= {item["name"] for item in page["items"]}
            after = page.get("next")
            if not after:
                return sorted(set(self.acknowledged) - kept)

    def _run(self) -> None:
        number = 0
        with httpx.Client(timeout=20.0, trust_env=False) as http:
            while not self._ended.is_set():
                name = f"{self.prefix}-{number}"
                number += 1
                try:
                    url = f"{self.platform.control_url}/api/v1/model-package-groups"
                    response = http.post(url, json={"name": name})
                except httpx.TransportError:
                    self.unanswered += 1
                    self._ended.wait(PAUSE_S)
                    continue
                if response.is_success:
                    self.acknowledged.append(name)
                elif response.status_code < 500:
                    self.refused.append(f"{response.status_code} {response.text}")
                self._ended.wait(PAUSE_S)
