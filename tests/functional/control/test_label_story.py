"""Labels that come back."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from fakes.house import ME, House
from modelport.control.services.labels import Accepted
from modelport.domain.errors import Conflict, InvalidInput, NotFound
from modelport.wire.capture import GroundTruthRecord


@pytest.fixture
def house(tmp_path: Path):
    with House(tmp_path / "home") as built:
        built.register("flights", 1)
        built.deploy("air", "flights:1", capture_percent=50.0)
        yield built


def accept(house: House, *labels) -> Accepted:
    return house.labels.accept("air", labels, principal=ME)


def kept(house: House) -> list[tuple[str, str]]:
    """Return ids and labels in the order they lie on disk."""
    found = []
    for path in sorted((house.layout.labels / "air").glob("*/*/*/*/*.jsonl")):
        for line in path.read_bytes().splitlines():
            record = msgspec.json.decode(line, type=GroundTruthRecord)
            found.append((record.event_metadata.event_id, record.ground_truth_data.data))
    return found


def test_labels_lie_in_their_hour_in_the_shape_of_ground_truth(house: House) -> None:
    assert accept(house, ("q#0", "late"), ("q#1", True), ("q#2", 3), ("q#3", 0.5)) == Accepted(4, 0)
    assert kept(house) == [("q#0", '"late"'), ("q#1", "true"), ("q#2", "3"), ("q#3", "0.5")]
    (hour,) = (house.layout.labels / "air").glob("*/*/*/*")
    assert hour.relative_to(house.layout.labels) == Path("air/2026/01/02/03")
    (line, *_) = next(hour.iterdir()).read_text().splitlines()
    assert msgspec.json.decode(line) == {
        "groundTruthData": {"data": '"late"', "encoding": "JSON"},
        "eventMetadata": {"eventId": "q#0", "receivedTime": "2026-01-02T03:04:05.000Z"},
        "eventVersion": "0",
    }


def test_request_ids_take_one_label_per_row(house: House) -> None:
    assert accept(house, ("q", "late"), ("r", ["a", "b"])) == Accepted(3, 0)
    assert [key for key, _ in kept(house)] == ["q#0", "r#0", "r#1"]


def test_doubles_are_kept_and_counted_also_after_a_restart(house: House, tmp_path: Path) -> None:
    assert accept(house, ("q#0", 1), ("q#0", 2)) == Accepted(2, 1)
    house.clock.turn(7200)
    assert accept(house, ("q#0", 3), ("q#1", 3)) == Accepted(2, 1)
    (torn, *_) = (house.layout.labels / "air").glob("*/*/*/*/*.jsonl")
    with torn.open("ab") as file:
        file.write(b'{"groundTruthData":{"da')
    house.records.close()
    with House(tmp_path / "home", workers=house.workers, clock=house.clock) as again:
        assert accept(again, ("q#1", 4), ("q#2", 4)) == Accepted(2, 1)
        hours = sorted(path.name for path in (house.layout.labels / "air").glob("*/*/*/*"))
        assert hours == ["03", "05"]
        assert len(list((house.layout.labels / "air").glob("2026/01/02/05/*.jsonl"))) == 2, (
            "a torn tail is left alone"
        )


@pytest.mark.parametrize(
    "label",
    [
        ("q#0", None),
        ("q#0", float("nan")),
        ("q#0", {"a": 1}),
        ("q#0", [1, 2]),
        ("", 1),
        ("q\n#0", 1),
        ("q" * 600, 1),
        (7, 1),
        ("q", [[1]]),
    ],
)
def test_one_wrong_label_and_none_is_kept(house: House, label) -> None:
    with pytest.raises(InvalidInput) as caught:
        accept(house, ("good#0", 1), label)
    assert caught.value.row == 1
    assert kept(house) == []


def test_nothing_is_accepted(house: House) -> None:
    assert accept(house) == Accepted(0, 0)


def test_labels_need_captures(house: House) -> None:
    house.deploy("air", "flights:1", capture_percent=0.0)
    with pytest.raises(Conflict, match="captures nothing") as caught:
        accept(house, ("q#0", 1))
    assert "--capture 100%" in (caught.value.hint or "")
    (house.layout.captures / "air").mkdir(parents=True)
    assert accept(house, ("q#0", 1)) == Accepted(1, 0), "captures of an earlier time still take labels"
    with pytest.raises(NotFound):
        house.labels.accept("none", [("q#0", 1)], principal=ME)
