"""A resource survives the way to its document and back, in both spellings."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelport.domain.endpoint import DataCaptureConfig, EndpointConfigSpec, ProductionVariant
from modelport.domain.errors import InvalidInput
from modelport.domain.registry import PackageSpec
from modelport.wire.documents import VIEWS, from_document, from_fields, to_document, to_fields

finite = st.floats(allow_nan=False, allow_infinity=False)
moments = st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds of a strategy
st.register_type_strategy(float, finite)
st.register_type_strategy(datetime, moments)
plain = st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.text(max_size=5))


@pytest.mark.parametrize(
    "view", sorted({view for views in VIEWS.values() for view in views}, key=lambda view: view.__name__)
)
@given(data=st.data())
def test_every_view_round_trips_through_json(view, data):
    overrides = {}
    hints = view.__annotations__
    for name, hint in hints.items():
        if "Any" in str(hint):
            overrides[name] = st.dictionaries(st.text(min_size=1, max_size=5), plain, max_size=2)
    value = data.draw(st.builds(view, **overrides))
    assert from_document(view, json.loads(json.dumps(to_document(value)))) == value
    assert from_fields(view, json.loads(json.dumps(to_fields(value)))) == value


def test_the_document_is_spelled_as_sagemaker_spells_it():
    spec = EndpointConfigSpec(
        "flights-1",
        (ProductionVariant("v1", "flights-1", initial_variant_weight=0.5),),
        data_capture_config=DataCaptureConfig(100.0, destination_s3_uri="s3://bucket/x"),
    )
    assert to_document(spec) == {
        "EndpointConfigName": "flights-1",
        "ProductionVariants": [
            {
                "VariantName": "v1",
                "ModelName": "flights-1",
                "InitialInstanceCount": 1,
                "InitialVariantWeight": 0.5,
            }
        ],
        "DataCaptureConfig": {
            "InitialSamplingPercentage": 100.0,
            "EnableCapture": True,
            "DestinationS3Uri": "s3://bucket/x",
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        },
    }


def test_keys_of_free_maps_are_never_recased():
    spec = PackageSpec("flights", customer_metadata_properties={"my_key": "a", "Other-Key": "b"})
    assert to_document(spec)["CustomerMetadataProperties"] == {"my_key": "a", "Other-Key": "b"}


def test_an_unknown_field_is_named_with_those_that_exist():
    with pytest.raises(InvalidInput, match="Weight") as caught:
        from_document(ProductionVariant, {"VariantName": "v1", "ModelName": "m", "Weight": 1})
    assert "InitialVariantWeight" in caught.value.hint


def test_a_wrong_type_is_refused():
    with pytest.raises(InvalidInput, match="ProductionVariant"):
        from_document(ProductionVariant, {"VariantName": "v1", "ModelName": 3})
