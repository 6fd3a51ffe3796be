"""Shares, weights and configs that follow from what a user asks for."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from modelport.domain.endpoint import (
    AsyncInference,
    AsyncOutput,
    CaptureOption,
    DataCaptureConfig,
    EndpointConfigSpec,
    ProductionVariant,
    Serverless,
)
from modelport.domain.errors import Conflict, InvalidInput, NotFound
from modelport.domain.planning.traffic import (
    add_variant,
    change_weights,
    check_config,
    choose_variant_name,
    promote_variant,
    shares_of,
    weights_of,
)

NAMES = st.lists(
    st.sampled_from([f"v{number}" for number in range(1, 9)]), min_size=1, max_size=5, unique=True
)
WEIGHT = st.floats(min_value=0, max_value=1000)


def config_of(weights: dict[str, float], shadows: tuple[str, ...] = ()) -> EndpointConfigSpec:
    return EndpointConfigSpec(
        "config-1",
        tuple(
            ProductionVariant(name, f"model-{name}", initial_variant_weight=weight)
            for name, weight in weights.items()
        ),
        tuple(ProductionVariant(name, f"model-{name}") for name in shadows),
    )


def deploy(base: EndpointConfigSpec | None, variant: str, **how) -> EndpointConfigSpec:
    wish = {"traffic_percent": None, "shadow": False, "capture_percent": None} | how
    weights = {} if base is None else weights_of(base, wish.pop("changed", {}))
    return add_variant(base, weights, name="config-2", variant=variant, model=f"model-{variant}", **wish)


@given(weights=st.dictionaries(st.sampled_from("abcdef"), WEIGHT, min_size=1), percent=st.floats(0, 100))
def test_traffic_is_the_true_share_and_the_others_keep_their_proportions(weights, percent) -> None:
    assume(sum(weights.values()) > 1e-6)
    made = deploy(config_of(weights), "new", traffic_percent=percent)
    shares = shares_of(weights_of(made, {}))
    assert sum(shares.values()) == pytest.approx(1.0)
    assert shares.pop("new") == pytest.approx(percent / 100, abs=1e-9)
    for name, share in shares_of(weights).items():
        assert shares[name] == pytest.approx(share * (1 - percent / 100), abs=1e-9)


@given(weights=st.dictionaries(st.sampled_from("abc"), WEIGHT, min_size=1), again=st.sampled_from("abc"))
def test_variant_that_is_there_is_not_added_twice(weights, again) -> None:
    others = {name: weight for name, weight in weights.items() if name != again}
    assume(sum(others.values()) > 1e-6)
    made = deploy(config_of(weights), again, traffic_percent=30.0)
    assert sorted(weights_of(made, {})) == sorted({*weights, again})
    assert shares_of(weights_of(made, {}))[again] == pytest.approx(0.3)


def test_first_version_takes_all() -> None:
    made = deploy(None, "v1")
    assert weights_of(made, {}) == {"v1": 1.0}
    assert made.data_capture_config is None


def test_without_a_share_it_replaces_the_others_but_not_the_shadows() -> None:
    made = deploy(config_of({"v1": 9.0, "v2": 1.0}, shadows=("v9",)), "v3")
    assert list(weights_of(made, {})) == ["v3"]
    assert [item.variant_name for item in made.shadow_production_variants] == ["v9"]


@pytest.mark.parametrize("base", [None, config_of({"new": 1.0})])
def test_share_needs_somebody_for_the_rest(base) -> None:
    with pytest.raises(InvalidInput, match="remaining 90 %"):
        deploy(base, "new", traffic_percent=10.0)
    assert shares_of(weights_of(deploy(base, "new", traffic_percent=100.0), {})) == {"new": 1.0}


def test_weights_set_by_hand_are_what_shares_are_made_of() -> None:
    made = deploy(config_of({"v1": 1.0, "v2": 1.0}), "v3", traffic_percent=50.0, changed={"v1": 3.0})
    assert shares_of(weights_of(made, {})) == pytest.approx({"v1": 0.375, "v2": 0.125, "v3": 0.5})


def test_shadow_answers_nobody_and_needs_somebody_who_does() -> None:
    made = deploy(config_of({"v1": 2.0}), "v2", shadow=True)
    assert weights_of(made, {}) == {"v1": 2.0}
    assert [item.variant_name for item in made.shadow_production_variants] == ["v2"]
    assert deploy(made, "v2").shadow_production_variants == ()
    with pytest.raises(Conflict, match="no other variant to shadow"):
        deploy(None, "v1", shadow=True)
    with pytest.raises(InvalidInput, match="no share"):
        deploy(config_of({"v1": 2.0}), "v2", shadow=True, traffic_percent=10.0)


def test_last_production_variant_cannot_become_the_only_shadow() -> None:
    with pytest.raises(Conflict, match="no other variant"):
        deploy(config_of({"v1": 1.0}), "v1", shadow=True)


def test_shadow_made_of_the_variant_with_all_traffic_leaves_the_rest_answering() -> None:
    made = deploy(config_of({"v1": 0.0, "v2": 1.0}), "v2", shadow=True)
    assert sum(weights_of(made, {}).values()) > 0


@pytest.mark.parametrize(("percent", "kept"), [(None, 20.0), (50.0, 50.0), (0.0, None)])
def test_capture_is_kept_changed_or_turned_off(percent, kept) -> None:
    base = EndpointConfigSpec("c", (ProductionVariant("v1", "m"),), (), DataCaptureConfig(20.0))
    capture = deploy(base, "v2", capture_percent=percent).data_capture_config
    assert (None if capture is None else capture.initial_sampling_percentage) == kept


def test_changed_share_of_capture_goes_where_it_went_before() -> None:
    capture = DataCaptureConfig(20.0, False, "s3://bucket/captures", (CaptureOption("Input"),))
    base = EndpointConfigSpec("c", (ProductionVariant("v1", "m"),), (), capture)
    assert deploy(base, "v2", capture_percent=50.0).data_capture_config == DataCaptureConfig(
        50.0, True, "s3://bucket/captures", (CaptureOption("Input"),)
    )


def test_asynchronous_endpoint_stays_asynchronous() -> None:
    asynchronous = AsyncInference(AsyncOutput("s3://answers/out"))
    base = EndpointConfigSpec(
        "c",
        (ProductionVariant("v1", "m1"), ProductionVariant("v2", "m2")),
        async_inference_config=asynchronous,
    )
    assert deploy(base, "v3").async_inference_config == asynchronous
    assert promote_variant(base, name="d", variant="v2").async_inference_config == asynchronous
    assert deploy(None, "v1").async_inference_config is None


def test_config_made_of_a_request_repeats_what_still_holds_of_it() -> None:
    first = {"VariantName": "v1", "ModelName": "m1", "InferenceAmiVersion": "al2"}
    shadow = {"VariantName": "v2", "ModelName": "m2", "InferenceAmiVersion": "al3"}
    base = EndpointConfigSpec(
        "c",
        (ProductionVariant("v1", "m1"),),
        (ProductionVariant("v2", "m2"),),
        DataCaptureConfig(20.0),
        request={
            "EndpointConfigName": "c",
            "ProductionVariants": [first],
            "ShadowProductionVariants": [shadow],
            "DataCaptureConfig": {"InitialSamplingPercentage": 20},
            "Tags": [{"Key": "of", "Value": "c"}],
            "KmsKeyId": "key",
        },
    )
    assert deploy(base, "v1", capture_percent=0.0).request == {
        "EndpointConfigName": "config-2",
        "ProductionVariants": [
            {
                "VariantName": "v1",
                "ModelName": "model-v1",  # another one than before: nothing of that one's holds
                "InitialInstanceCount": 1,
                "InitialVariantWeight": 1.0,
            }
        ],
        "ShadowProductionVariants": [shadow | {"InitialVariantWeight": 1.0}],
        "KmsKeyId": "key",
    }
    promoted = promote_variant(base, name="d", variant="v2").request
    assert promoted["ProductionVariants"] == [shadow | {"InitialVariantWeight": 1.0}]
    assert "ShadowProductionVariants" not in promoted
    assert deploy(config_of({"v1": 1.0}), "v2").request == {}


@pytest.mark.parametrize("percent", [-1.0, 100.5, float("nan"), float("inf")])
def test_percentages_are_percentages(percent) -> None:
    with pytest.raises(InvalidInput, match="from 0 to 100"):
        deploy(config_of({"v1": 1.0}), "v2", traffic_percent=percent)
    with pytest.raises(InvalidInput, match="from 0 to 100"):
        deploy(None, "v2", capture_percent=percent)


@given(names=NAMES, data=st.data())
def test_changed_weights_cover_all_variants_and_never_all_nothing(names, data) -> None:
    current = {name: data.draw(WEIGHT) for name in names}
    wished = {name: data.draw(WEIGHT) for name in names if data.draw(st.booleans())}
    merged = current | wished
    if not wished:
        with pytest.raises(InvalidInput, match="no weight was given"):
            change_weights(current, wished)
    elif sum(merged.values()) > 0:
        assert change_weights(current, wished) == merged
    else:
        with pytest.raises(InvalidInput, match="all weights are 0"):
            change_weights(current, wished)


@pytest.mark.parametrize("weight", [-0.1, float("nan"), float("inf")])
def test_weights_are_numbers_of_at_least_zero(weight) -> None:
    with pytest.raises(InvalidInput, match="not a number of at least 0"):
        change_weights({"v1": 1.0}, {"v1": weight})


def test_unknown_variant_is_named_with_those_there_are() -> None:
    with pytest.raises(NotFound, match="'v9'") as caught:
        change_weights({"v1": 1.0, "v2": 1.0}, {"v9": 1.0})
    assert caught.value.hint == "variants: v1, v2"
    with pytest.raises(NotFound, match="'v9'"):
        promote_variant(config_of({"v1": 1.0}), name="c", variant="v9")


def test_promoted_variant_is_alone_and_captured_as_before() -> None:
    base = EndpointConfigSpec(
        "c",
        (ProductionVariant("v1", "m1"), ProductionVariant("v2", "m2", initial_variant_weight=0.0)),
        (ProductionVariant("v3", "m3"), ProductionVariant("v4", "m4")),
        DataCaptureConfig(20.0),
    )
    made = promote_variant(base, name="d", variant="v2")
    assert weights_of(made, {}) == {"v2": 1.0}
    assert made.data_capture_config == base.data_capture_config
    shadowless = promote_variant(base, name="d", variant="v3")
    assert [item.variant_name for item in shadowless.shadow_production_variants] == ["v4"]


SERVERLESS = ProductionVariant("v", "m", serverless_config=Serverless(1))


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        (EndpointConfigSpec("c", ()), "at least one production variant"),
        (
            EndpointConfigSpec("c", (SERVERLESS, ProductionVariant("w", "m"))),
            "serverless, and the config has several variants",
        ),
        (
            EndpointConfigSpec("c", (SERVERLESS,), (ProductionVariant("w", "m"),)),
            "serverless, and the config has several variants",
        ),
        (
            EndpointConfigSpec(
                "c", (SERVERLESS,), async_inference_config=AsyncInference(AsyncOutput("s3://b/out"))
            ),
            "serverless, and the config has an asynchronous",
        ),
        (config_of({"v1": 1.0}, shadows=("v1",)), "two variants are named 'v1'"),
        (config_of({"v1": 0.0, "v2": 0.0}), "all weights are 0"),
        (config_of({"v1": -1.0, "v2": 2.0}), "at least 0"),
        (EndpointConfigSpec("c", (ProductionVariant("v", "m", 0),)), "instance count"),
        (
            EndpointConfigSpec("c", (ProductionVariant("v", "m"),), (), DataCaptureConfig(101.0)),
            "from 0 to 100",
        ),
        (
            EndpointConfigSpec(
                "c",
                (ProductionVariant("v", "m"),),
                (),
                DataCaptureConfig(1.0, capture_options=(CaptureOption("Both"),)),
            ),
            "capture mode 'Both'",
        ),
        (
            EndpointConfigSpec(
                "c", (ProductionVariant("v", "m"),), (), DataCaptureConfig(1.0, capture_options=())
            ),
            "capture options are empty",
        ),
    ],
)
def test_config_that_could_not_serve_is_refused(config, complaint) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        check_config(config)


def test_variant_is_named_after_its_version_unless_another_model_has_that_name() -> None:
    assert choose_variant_name(None, "flights", 3, "flights-3") == "v3"
    taken = EndpointConfigSpec("c", (ProductionVariant("v3", "flights-3"),))
    assert choose_variant_name(taken, "flights", 3, "flights-3") == "v3"
    assert choose_variant_name(taken, "boats", 3, "boats-3") == "boats-v3"
    assert len(choose_variant_name(taken, "b" * 63, 3, "x")) <= 63
