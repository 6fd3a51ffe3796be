"""Tables follow from configs, weights and the table before."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelport.domain.endpoint import (
    CaptureOption,
    DataCaptureConfig,
    EndpointConfigSpec,
    ProductionVariant,
)
from modelport.domain.planning.routes import change_table, digests_of, route_of
from modelport.domain.registry import ModelNotes
from modelport.domain.routes import CaptureRoute, EndpointRoute, RouteTable, VariantRoute

MODELS = {f"m{number}": ModelNotes(f"{number}" * 64, f"m:{number}") for number in range(3)}


def config(capture: DataCaptureConfig | None = None) -> EndpointConfigSpec:
    return EndpointConfigSpec(
        "c",
        (ProductionVariant("v0", "m0", initial_variant_weight=9.0), ProductionVariant("v1", "m1")),
        (ProductionVariant("v2", "m2", initial_variant_weight=0.5),),
        capture,
    )


def test_route_has_the_weights_of_now_and_the_shadow_apart() -> None:
    route = route_of("air", config(), {"v1": 4.0, "gone": 1.0}, MODELS)
    assert route == EndpointRoute(
        "air",
        (
            VariantRoute("v0", "m:0", "0" * 64, 9.0),
            VariantRoute("v1", "m:1", "1" * 64, 4.0),
            VariantRoute("v2", "m:2", "2" * 64, 0.5, shadow=True),
        ),
    )
    assert digests_of([route, None]) == {"0" * 64, "1" * 64, "2" * 64}


@pytest.mark.parametrize(
    ("capture", "expected"),
    [
        (None, None),
        (DataCaptureConfig(0.0), None),
        (DataCaptureConfig(50.0, enable_capture=False), None),
        (DataCaptureConfig(50.0), CaptureRoute(50.0)),
        (
            DataCaptureConfig(50.0, capture_options=(CaptureOption("Input"),)),
            CaptureRoute(50.0, outputs=False),
        ),
        (
            DataCaptureConfig(50.0, capture_options=(CaptureOption("Output"),)),
            CaptureRoute(50.0, inputs=False),
        ),
        (DataCaptureConfig(50.0, capture_options=(CaptureOption("InputAndOutput"),)), CaptureRoute(50.0)),
    ],
)
def test_capture_is_what_the_config_asks_for(capture, expected) -> None:
    assert route_of("air", config(capture), {}, MODELS).capture == expected


def route(name: str, mark: str) -> EndpointRoute:
    return EndpointRoute(name, (VariantRoute(mark, mark, mark * 64),))


@given(
    before=st.dictionaries(st.sampled_from("abcd"), st.sampled_from("01")),
    changes=st.dictionaries(st.sampled_from("abcdef"), st.sampled_from(["2", None])),
)
def test_next_table_is_the_active_one_with_its_changes_and_nothing_else(before, changes) -> None:
    active = RouteTable(3, tuple(route(name, mark) for name, mark in before.items()))
    made = change_table(
        active, {name: None if mark is None else route(name, mark) for name, mark in changes.items()}, 4
    )
    expected = {name: mark for name, mark in {**before, **changes}.items() if mark is not None}
    assert made.revision == 4
    assert [item.endpoint for item in made.endpoints] == sorted(expected)
    assert {item.endpoint: item.variants[0].variant for item in made.endpoints} == expected
