"""Rates and times as people write them."""

import pytest

from modelport.domain.errors import InvalidInput
from modelport.sdk.quantities import parse_milliseconds, parse_rate


@pytest.mark.parametrize(
    ("text", "rate"),
    [("2000/s", 2000), ("2000", 2000), ("2k/s", 2000), ("1.5K", 1500), ("90_000/min", 1500), ("3,600/h", 1)],
)
def test_rates(text: str, rate: float) -> None:
    assert parse_rate(text) == pytest.approx(rate)


@pytest.mark.parametrize(("text", "value"), [("20ms", 20), ("0.5s", 500), ("800us", 0.8), (" 7 ", 7)])
def test_times(text: str, value: float) -> None:
    assert parse_milliseconds(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "fast", "-1/s", "0/s", "nan", "1/fortnight", "9" * 400])
def test_other_rates_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidInput, match="expected a rate above 0") as caught:
        parse_rate(text)
    assert "2000/s" in str(caught.value.hint)


@pytest.mark.parametrize("text", ["", "soon", "-1ms", "0", "1 year"])
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="expected a time above 0"):
        parse_milliseconds(text)
