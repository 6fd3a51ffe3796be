"""Loading a stored model, running it, and refusing one that is not what its signature says."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fakes.graphs import linear_classifier, linear_regression, stump
from fakes.signatures import FLIGHT, FLIGHTS, matrix_signature, regression_signature
from modelport.domain.errors import Corrupted, InvalidInput, NotFound
from modelport.domain.signature import Output, Task
from modelport.runtime.model import LoadedModel
from modelport.runtime.session import Session, _raw_run
from modelport.stores.artifacts.local import LocalArtifacts
from modelport.wire import manifest as bundle
from modelport.wire.signature import encode_signature


def stored(folder: Path) -> tuple[LocalArtifacts, str, str]:
    """Store the flights model; return the store, the model's digest and its graph's."""
    artifacts = LocalArtifacts(folder)
    graph = artifacts.put([linear_classifier(13)])
    files = {bundle.SERVING_GRAPH: graph, bundle.SIGNATURE: artifacts.put([encode_signature(FLIGHTS)])}
    return artifacts, artifacts.put([bundle.encode_manifest(bundle.Manifest(files))]), graph


def test_a_stored_model_answers_a_request(tmp_path: Path) -> None:
    artifacts, digest, _ = stored(tmp_path)
    model = LoadedModel.load(artifacts, digest)
    model.warm_up()
    rows = model.decoder_for(None)(b'{"instances": [%b]}' % _json(FLIGHT))
    outputs = model.run(rows.matrix())
    assert (model.digest, model.features, len(outputs)) == (digest, 13, 1)
    reply = model.encoder_for("*/*").encode(outputs, 0, 1)
    assert reply.startswith(b'{"predictions":["on time"],"probabilities":[[')
    assert reply.endswith(b'],"classes":["late","on time"]}')


def test_a_damaged_graph_is_not_loaded(tmp_path: Path) -> None:
    artifacts, digest, graph = stored(tmp_path)
    path = next(tmp_path.rglob(graph))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(Corrupted):
        LoadedModel.load(artifacts, digest)


def test_a_model_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        LoadedModel.load(LocalArtifacts(tmp_path), hashlib.sha256(b"").hexdigest())


def test_bytes_that_are_no_graph_are_refused() -> None:
    with pytest.raises(InvalidInput, match="cannot load the serving graph"):
        Session(b"no graph")


def test_a_graph_of_another_width_is_refused() -> None:
    with pytest.raises(InvalidInput, match="takes 2 features, its signature names 3"):
        LoadedModel(matrix_signature(3), linear_classifier(2))


def test_a_graph_without_the_signatures_outputs_is_refused() -> None:
    with pytest.raises(InvalidInput, match="gives nothing for 'label'"):
        LoadedModel(matrix_signature(2), linear_regression(2))


def test_a_graph_of_other_input_is_refused() -> None:
    import onnx

    model = onnx.load_from_string(linear_regression(2))
    model.graph.input[0].name = "x"
    model.graph.node[0].input[0] = "x"
    with pytest.raises(InvalidInput, match="expected one input 'matrix'"):
        LoadedModel(regression_signature(2), model.SerializeToString())


@pytest.mark.parametrize("labels", [("a",), ("a", "b", "c")])
def test_warming_up_notices_another_number_of_classes(labels: tuple[str, ...]) -> None:
    output = Output(Task.CLASSIFICATION, labels, probabilities=True)
    model = LoadedModel(replace(matrix_signature(2), output=output), linear_classifier(2))
    with pytest.raises(InvalidInput, match=r"'probabilities' of shape \(1, 2\)"):
        model.warm_up()


def test_a_tree_in_double_keeps_its_threshold_exactly() -> None:
    model = LoadedModel(regression_signature(1), stump(1, 0.1))
    rows = np.array([[0.1], [np.nextafter(0.1, 1.0)], [np.nan]])
    assert model.run(rows).predictions[:, 0].tolist() == [1.0, 2.0, 2.0]
    model.warm_up(rows)


def test_no_rows_give_no_answers() -> None:
    assert len(LoadedModel(regression_signature(3), linear_regression(3)).run(np.empty((0, 3)))) == 0


def test_a_session_without_the_private_shortcut_still_runs() -> None:
    class Wrapped:
        def run(self, names: list[str], feed: dict, options: None) -> list[str]:
            return names

    assert _raw_run(Wrapped())(["label"], {}, None) == ["label"]


def test_importing_the_room_loads_neither_onnxruntime_nor_pandas() -> None:
    code = (
        "import sys, modelport.runtime.model; first = set(sys.modules)\n"
        "import modelport.runtime.columns\n"
        "print('onnxruntime' in first, 'pyarrow' in first, 'pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "False"]


def _json(row: dict) -> bytes:
    import json

    return json.dumps(row).encode()


def test_a_model_keeps_the_mark_of_its_registration_and_is_compared_again(tmp_path: Path) -> None:
    artifacts, digest, _ = stored(tmp_path)
    manifest = bundle.decode_manifest(artifacts.read(digest))
    marked = artifacts.put([bundle.encode_manifest(replace(manifest, batch_difference=1e-9))])
    plain, model = LoadedModel.load(artifacts, digest), LoadedModel.load(artifacts, marked)
    for each in (plain, model):
        each.compare_batches(time.monotonic)
    assert (plain.batch_difference, model.batch_difference) == (0.0, 1e-9)
