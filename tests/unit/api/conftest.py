"""The control port over real services."""

import pytest

from fakes.doors import Doors


@pytest.fixture
def doors(tmp_path):
    doors = Doors(tmp_path / "home")
    yield doors
    doors.close()
