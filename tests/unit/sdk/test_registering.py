from dataclasses import replace

import msgspec
import numpy as np
import pytest

from fakes.graphs import linear_regression
from fakes.onnx_files import exponential_file, softmax_file
from fakes.originals import SIGNATURE, linear_conversion, published_linear, refuse_odd
from modelport.domain.errors import CheckFailed, Corrupted, InvalidInput
from modelport.evaluation.baseline import decode_baseline
from modelport.evaluation.proof import decode_proof
from modelport.evaluation.proof_rows import decode_rows, encode_rows
from modelport.sdk.bundle import assemble, digest_of, restore
from modelport.sdk.model_files import bundle_from_file
from modelport.sdk.registering import prove
from modelport.sdk.verifying import verify_bundle
from modelport.wire import manifest as names
from modelport.wire.manifest import decode_manifest

ROWS = np.random.default_rng(5).uniform(0, 9, size=(30, 2))
EXAMPLE = {"distance": ROWS[:, 0], "hour": ROWS[:, 1]}


def at_row(rows, wanted):
    return (rows[:, 0] == ROWS[wanted, 0]) & (rows[:, 1] == ROWS[wanted, 1])


def test_a_bundle_holds_every_file_and_its_proof():
    bundle = prove(linear_conversion(), EXAMPLE)
    assert set(bundle.files) == {
        names.SERVING_GRAPH,
        names.PUBLISHED_GRAPH,
        names.SIGNATURE,
        names.PROOF,
        names.PROOF_ROWS,
        names.BASELINE,
    }
    assert decode_manifest(bundle.manifest).files == {
        name: digest_of(content) for name, content in bundle.files.items()
    }
    assert bundle.digest == digest_of(bundle.manifest)
    proof = bundle.proof
    assert (proof.framework, proof.estimator, proof.family) == ("fake 1", "Linear", "linear")
    assert proof.serving.flips == 0
    assert proof.published is not None
    assert proof.refused >= 8
    assert proof.rows_by_origin["example"] == 30
    assert proof.versions["numpy"] == np.__version__
    assert decode_baseline(bundle.files[names.BASELINE]).rows == 30


def test_a_model_whose_answers_depend_on_the_rows_beside_them_is_marked(tmp_path):
    assert prove(linear_conversion(), EXAMPLE).proof.batch_difference == 0.0
    example = np.random.default_rng(0).normal(size=(40, 3))
    bundle = bundle_from_file(exponential_file(tmp_path / "m.onnx"), example)
    assert 0 < bundle.proof.batch_difference < 1e-12
    assert decode_manifest(bundle.manifest).batch_difference == bundle.proof.batch_difference


def test_the_same_model_and_example_give_the_same_digest():
    assert prove(linear_conversion(), EXAMPLE).digest == prove(linear_conversion(), EXAMPLE).digest


def test_a_difference_in_one_row_stops_registration_and_shows_it():
    def change(rows, answers):
        return answers + np.where(at_row(rows, 7), 1e-3, 0.0)[:, None]

    with pytest.raises(CheckFailed, match="the serving graph is not the original") as caught:
        prove(linear_conversion(change=change), EXAMPLE)
    text = str(caught.value)
    assert "1 further off than the bar" in text
    assert repr(float(ROWS[7, 0])) in text
    assert "original " in text
    assert "converted" in text


def test_an_answer_that_is_nan_on_one_side_stops_registration():
    def change(rows, answers):
        return np.where(at_row(rows, 3)[:, None], np.nan, answers)

    with pytest.raises(CheckFailed, match="NaN or infinity on one side"):
        prove(linear_conversion(change=change), EXAMPLE)


def test_the_published_graph_is_proven_too():
    with pytest.raises(CheckFailed, match="the published graph is not the original"):
        prove(linear_conversion(published=published_linear(shift=1e-3)), EXAMPLE)


def test_a_row_that_is_wrong_only_when_alone_is_found():
    def change(rows, answers):
        return answers + (1.0 if len(rows) == 1 else 0.0)

    with pytest.raises(CheckFailed, match="one row at a time"):
        prove(linear_conversion(change=change), EXAMPLE)


def test_a_signature_wider_than_the_original_is_found():
    def check(rows):
        refuse_odd(rows)
        if (rows > 8.5).any():
            raise ValueError("too large for this model")

    with pytest.raises(CheckFailed, match="refuses a row that its signature accepts: too large") as caught:
        prove(linear_conversion(check=check), EXAMPLE)
    assert "hour" in str(caught.value)


def test_a_signature_narrower_than_the_original_is_found():
    with pytest.raises(CheckFailed, match="answers a row that its signature refuses"):
        prove(linear_conversion(check=lambda _rows: None), EXAMPLE)


def test_a_signature_stricter_far_from_the_example_is_noted():
    def check(rows):
        if np.isnan(rows).any():
            raise ValueError("NaN")

    bundle = prove(linear_conversion(check=check), EXAMPLE)
    assert [note.split()[0] for note in bundle.proof.notes] == ["distance", "hour"]
    assert "beyond the example's" in bundle.proof.notes[0]
    assert verify_bundle(bundle).refused == bundle.proof.refused == 2


def test_an_example_that_the_model_refuses_is_explained():
    bad = {name: np.full(5, np.nan) for name in EXAMPLE}
    with pytest.raises(CheckFailed, match="every row"):
        prove(linear_conversion(), bad)


def test_without_example_data_the_proof_keeps_made_up_rows_only():
    bundle = prove(linear_conversion(), EXAMPLE, example_data=False)
    rows = decode_rows(SIGNATURE, bundle.files[names.PROOF_ROWS])
    assert len(rows) == bundle.proof.rows_kept > 100
    assert not set(rows.columns["distance"].tolist()) & set(ROWS[:, 0].tolist())
    assert "example" not in rows.origin.tolist()
    assert bundle.proof.rows_by_origin["example"] == 30  # they were asked
    assert verify_bundle(bundle).rows > 100


# ---- verify


def changed(bundle, **files):
    return assemble({**bundle.files, **files})


def test_a_bundle_verifies():
    bundle = prove(linear_conversion(), EXAMPLE)
    found = verify_bundle(restore(bundle.manifest, bundle.files))
    assert found.rows == bundle.proof.serving.rows
    assert found.refused == bundle.proof.refused
    assert found.flips == 0
    assert found.max_absolute <= bundle.proof.serving.max_absolute


def test_another_graph_does_not_verify():
    bundle = prove(linear_conversion(), EXAMPLE)
    swapped = changed(bundle, **{names.SERVING_GRAPH: linear_regression(2, seed=9)})
    with pytest.raises(CheckFailed, match="not the file that was proven"):
        verify_bundle(swapped)


def without_hashes(bundle, **files):
    """Return a bundle whose proof no longer tells that its files were changed."""
    proof = msgspec.json.decode(bundle.files[names.PROOF])
    proof["hashes"] = {}
    return changed(bundle, **files, **{names.PROOF: msgspec.json.encode(proof)})


def test_answers_are_compared_and_not_only_hashes():
    bundle = prove(linear_conversion(), EXAMPLE)
    swapped = without_hashes(bundle, **{names.SERVING_GRAPH: linear_regression(2, seed=9)})
    with pytest.raises(CheckFailed, match="does not answer as its original did") as caught:
        verify_bundle(swapped)
    assert "distance" in str(caught.value)


def test_a_refusal_that_is_gone_is_found():
    bundle = prove(linear_conversion(), EXAMPLE)
    rows = decode_rows(SIGNATURE, bundle.files[names.PROOF_ROWS])
    turned = replace(rows, refused=~rows.refused)
    with pytest.raises(CheckFailed, match="the signature"):
        verify_bundle(without_hashes(bundle, **{names.PROOF_ROWS: encode_rows(SIGNATURE, turned)}))


def test_a_damaged_download_is_found():
    bundle = prove(linear_conversion(), EXAMPLE)
    with pytest.raises(Corrupted, match="baseline"):
        restore(bundle.manifest, {**bundle.files, names.BASELINE: b"{}"})
    with pytest.raises(InvalidInput, match="lacks"):
        restore(bundle.manifest, {names.SIGNATURE: bundle.files[names.SIGNATURE]})


# ---- ready files


def test_a_ready_onnx_file_is_proven_against_itself(tmp_path):
    path = softmax_file(tmp_path / "m.onnx")
    bundle = bundle_from_file(path, np.random.default_rng(0).normal(size=(40, 3)), labels=["a", "b", "c"])
    assert bundle.proof.serving.max_absolute == 0.0
    assert bundle.proof.published is None
    assert bundle.proof.float32 == ("x",)
    assert verify_bundle(bundle).max_absolute == 0.0
    assert bundle.signature.output.labels == ("a", "b", "c")


def test_a_ready_onnx_file_needs_no_example_and_then_has_no_baseline(tmp_path):
    bundle = bundle_from_file(softmax_file(tmp_path / "m.onnx"))
    assert names.BASELINE not in bundle.files
    assert verify_bundle(bundle).rows > 100
    assert not decode_proof(bundle.files[names.PROOF]).example_data
