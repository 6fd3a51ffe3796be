"""Tables follow from configs, weights and the table before."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelport.domain.endpoint import (
    CaptureOption,
    DataCaptureConfig,
    EndpointConfigSpec,
    ProductionVariant,
    Serverless,
)
from modelport.domain.planning.routes import (
    bare,
    change_table,
    digests_of,
    fill,
    places_in,
    route_of,
    source_of,
)
from modelport.domain.registry import Code, ContainerDefinition, Model, ModelNotes, ModelSpec
from modelport.domain.resource import Kind, Nothing, Resource
from modelport.domain.routes import (
    CaptureRoute,
    EndpointRoute,
    HostedBy,
    HostedRoute,
    Hosting,
    RouteTable,
    VariantRoute,
)

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def model(name: str, notes: ModelNotes) -> Model:
    spec = ModelSpec(name, ContainerDefinition())
    return Resource(Kind.MODEL, name, None, spec, Nothing(), notes, 1, 1, NOW, NOW)


MODELS = {
    f"m{number}": model(f"m{number}", ModelNotes(f"{number}" * 64, f"m:{number}")) for number in range(3)
}


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


MANY = model("many", ModelNotes("", "many", models="s3://b/all/"))
CODED = model("coded", ModelNotes("", "coded", Code("a" * 64)))


def test_what_variants_host_comes_beside_the_wish() -> None:
    items = (
        ProductionVariant("many", "many"),
        ProductionVariant("sleeps", "coded", serverless_config=Serverless(5)),
        ProductionVariant("warm", "coded", serverless_config=Serverless(5, provisioned_concurrency=1)),
        ProductionVariant("parts"),
    )
    replicas = {("sleeps", 0): ("s-0", "s-1"), ("warm", 0): ("w-0",)}
    models = {"many": MANY, "coded": CODED}
    route = route_of("air", EndpointConfigSpec("c", items), {}, models, replicas)
    hosting = {variant.variant: variant.hosting for variant in route.variants}
    awake = (HostedRoute("", replicas=("s-0", "s-1")),)
    assert hosting == {
        "many": Hosting(HostedBy.TARGET_MODEL, source_of(MANY)),
        "sleeps": Hosting(HostedBy.SERVERLESS, source_of(CODED), awake, together=5),
        "warm": None,
        "parts": Hosting(HostedBy.COMPONENT, "inference-components"),
    }
    asleep = fill(route, {})
    assert [len(found.models) for _, _, found in places_in(asleep)] == [0, 0, 0]
    one = (HostedRoute("x", "d" * 64),)
    filled = fill(route, {("air", "many", source_of(MANY)): one, ("air", "parts", "other"): one})
    assert filled.variants[0].digests() == {"d" * 64}
    assert not filled.variants[3].digests(), "of another source"
    assert bare(filled) == fill(route, {("air", "sleeps", source_of(CODED)): ()}, awake=False)


def test_a_route_is_filled_by_place_and_nothing_else_changes() -> None:
    plain = EndpointRoute("air", (VariantRoute("v", "m:1", "d" * 64),))
    assert fill(plain, {("air", "v", "any"): (HostedRoute("x"),)}) is plain
