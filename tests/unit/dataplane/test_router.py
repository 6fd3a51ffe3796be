"""Shares follow weights; a target overrides them; shadows never answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelport.dataplane.router import Routes, Shares
from modelport.domain.errors import NotFound, Unavailable
from modelport.domain.routes import EndpointRoute, VariantRoute

WEIGHTS = st.lists(
    st.one_of(st.just(0.0), st.floats(1e-3, 1e6), st.integers(0, 100).map(float)), min_size=1, max_size=8
)


def routes(*weights, shadows=0):
    variants = [VariantRoute(f"v{n}", f"m:{n}", "0" * 64, weight) for n, weight in enumerate(weights)]
    copies = [VariantRoute(f"s{n}", "m:9", "0" * 64, 1.0, shadow=True) for n in range(shadows)]
    return Routes(EndpointRoute("e", (*copies, *variants)))


@given(WEIGHTS)
def test_long_run_shares_follow_the_weights(weights):
    shares = Shares(weights)
    draws = 10_000
    counts = [0] * len(weights)
    for number in range(draws):
        picked = shares.pick((number + 0.5) / draws)
        if picked is not None:
            counts[picked] += 1
    total = sum(weights)
    for weight, count in zip(weights, counts, strict=True):
        assert count == 0 if weight == 0 else abs(count / draws - weight / total) <= 2 / draws


@given(WEIGHTS, st.floats(0, 1, exclude_max=True))
def test_a_weight_of_zero_gets_nothing_and_somebody_gets_it(weights, draw):
    picked = Shares(weights).pick(draw)
    if any(weights):
        assert weights[picked] > 0
    else:
        assert picked is None


def test_the_last_share_takes_what_rounding_left():
    weights = [0.1] * 10
    assert Shares(weights).pick(1 - 2**-53) == 9


@given(WEIGHTS, st.floats(0, 1, exclude_max=True), st.data())
def test_a_target_overrides_the_weights(weights, draw, data):
    one = data.draw(st.integers(0, len(weights) - 1))
    chosen = routes(*weights, shadows=2).choose(f"v{one}", draw)
    assert chosen == one


@given(st.floats(0, 1, exclude_max=True))
def test_a_shadow_never_answers(draw):
    table = routes(1.0, 0.0, shadows=2)
    assert table.production[table.choose(None, draw)].variant == "v0"
    with pytest.raises(NotFound, match="no variant 's0'"):
        table.choose("s0", draw)


def test_one_variant_with_weight_is_known_in_advance():
    assert routes(0.0, 2.0).only == 1
    assert routes(1.0, 2.0).only is None
    assert routes(0.0).only is None


def test_no_weight_at_all_is_unavailable_but_a_target_still_works():
    table = routes(0.0, 0.0)
    with pytest.raises(Unavailable):
        table.choose(None, 0.5)
    assert table.choose("v1", 0.5) == 1
