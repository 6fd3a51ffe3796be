"""Medians over rounds, ratios within rounds."""

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st
from measuring.figures import Sample, of_cell, order_of_round, paired_ratio, summarise
from measuring.trends import slope

RATES = st.lists(st.floats(1.0, 1e6), min_size=1, max_size=9)


def sample(name: str, turn: int, rate: float, **more) -> Sample:
    return Sample("tiny", "split", name, "c64", turn, rate, 100.0, 900.0, 1e6 / rate, **more)


def test_medians_and_sums() -> None:
    found = summarise([sample("us", turn, rate, refused=turn) for turn, rate in enumerate((10, 30, 20))])
    figures = found["tiny", "split", "us", "c64"]
    assert (figures.rate, figures.refused, figures.rounds) == (20, 3, 3)


@given(RATES, st.floats(0.01, 100.0))
def test_a_machine_that_slows_down_changes_no_ratio(rates: list[float], ratio: float) -> None:
    samples = [
        one
        for turn, rate in enumerate(rates)
        for one in (sample("us", turn, rate * ratio), sample("peer", turn, rate))
    ]
    assert paired_ratio(samples, "us", "peer", lambda one: one.rate) == pytest.approx(ratio)
    assert paired_ratio(samples, "us", "us", lambda one: one.rate) == pytest.approx(1.0)


def test_rounds_that_lack_one_of_them_do_not_count() -> None:
    samples = [sample("us", 0, 10), sample("us", 1, 40), sample("peer", 1, 10), sample("peer", 2, 0.001)]
    assert paired_ratio(samples, "us", "peer", lambda one: one.rate) == 4.0
    assert paired_ratio(samples, "us", "nobody", lambda one: one.rate) is None
    assert of_cell(samples, "tiny", "split", "c1") == []


def test_every_round_asks_everybody_and_every_second_one_backwards() -> None:
    assert order_of_round("abc", 0) == ["a", "b", "c"]
    assert order_of_round("abc", 1) == ["c", "b", "a"]


@given(st.floats(-1e3, 1e3), st.lists(st.floats(-1.0, 1.0), min_size=9, max_size=40))
def test_a_slope_is_found_through_noise_and_outliers(rise: float, noise: list[float]) -> None:
    x = [1000.0 * at for at in range(len(noise))]
    y = [rise * at + spread for at, spread in zip(x, noise, strict=True)]
    y[len(y) // 2] = 1e9
    assert slope(x, y) == pytest.approx(rise, abs=0.01)
    assert slope([1.0, 1.0], [5.0, 9.0]) == 0.0
    assert statistics.median([rise]) == rise
