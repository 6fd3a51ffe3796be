"""The control plane's own story, on both databases."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.house import ME, House
from modelport.domain.errors import NotFound


def test_versions_share_traffic_and_go(database_url: str, tmp_path: Path) -> None:
    with House(tmp_path / "home", database_url=database_url) as house:
        for number in (1, 2):
            house.register("flights", number)
        house.deploy("air", "flights:1", capture_percent=100.0)
        house.deploy("air", "flights:2", traffic_percent=10.0)
        assert house.routed("air") == pytest.approx({"v1": 90.0, "v2": 10.0})
        house.endpoints.rollback("air", principal=ME)
        assert house.settle("air").status.failure_reason is None
    with House(tmp_path / "home", database_url=database_url, workers=house.workers) as again:
        again.run()
        assert again.routed("air") == {"v1": 1.0}
        again.endpoints.delete("air", principal=ME)
        again.run()
        with pytest.raises(NotFound):
            again.endpoints.describe("air")
        assert again.events.list(kind="Endpoint").items[-1].message == "gone"
