"""A signature survives JSON, also with open bounds, and damaged bytes are refused."""

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelport.domain.errors import InvalidInput
from modelport.domain.signature import Feature, FeatureType, Output, Signature, Task
from modelport.wire.manifest import Manifest, decode_manifest, encode_manifest
from modelport.wire.signature import decode_signature, encode_signature

bounds = st.floats(allow_nan=False)
values = st.one_of(st.text(max_size=6), st.integers(-(2**53), 2**53), st.booleans())
features = st.builds(
    Feature,
    name=st.text(min_size=1, max_size=8),
    type=st.sampled_from(FeatureType),
    vocabulary=st.one_of(st.none(), st.lists(values, max_size=4).map(tuple)),
    lower=bounds,
    upper=bounds,
    seen_min=st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)),
    seen_max=st.none(),
)
outputs = st.builds(Output, task=st.sampled_from(Task), labels=st.lists(values, max_size=4).map(tuple))


@given(st.builds(Signature, features=st.lists(features, max_size=4).map(tuple), output=outputs))
def test_a_signature_round_trips(signature):
    assert decode_signature(encode_signature(signature)) == _closed(signature)


def _closed(signature):
    """JSON cannot say on which side an infinite bound lies wrong: lower inf and upper -inf do not occur."""
    return dataclasses.replace(
        signature,
        features=tuple(
            dataclasses.replace(
                feature,
                lower=-math.inf if math.isinf(feature.lower) else feature.lower,
                upper=math.inf if math.isinf(feature.upper) else feature.upper,
            )
            for feature in signature.features
        ),
    )


def test_leading_zeros_and_types_of_labels_survive():
    signature = Signature((), Output(Task.CLASSIFICATION, ("001", 1, True, 1.5)))
    labels = decode_signature(encode_signature(signature)).output.labels
    assert [(type(label), label) for label in labels] == [(str, "001"), (int, 1), (bool, True), (float, 1.5)]


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b'{"features": 3}'])
def test_damaged_bytes_are_refused(content):
    with pytest.raises(InvalidInput):
        decode_signature(content)


def test_a_manifest_round_trips_with_equal_bytes():
    manifest = Manifest({"signature.json": "b" * 64, "serving.onnx": "a" * 64})
    assert decode_manifest(encode_manifest(manifest)) == manifest
    assert encode_manifest(Manifest(dict(reversed(manifest.files.items())))) == encode_manifest(manifest)


@pytest.mark.parametrize(
    "files",
    [{}, {"serving.onnx": "a" * 64}, {"serving.onnx": "../../etc/passwd", "signature.json": "b" * 64}],
)
def test_a_manifest_that_lacks_or_forges_a_file_is_refused(files):
    with pytest.raises(InvalidInput):
        decode_manifest(encode_manifest(Manifest(files)))


def test_a_manifest_from_the_future_is_refused():
    with pytest.raises(InvalidInput, match="format version 2"):
        decode_manifest(b'{"files": {}, "format_version": 2}')
