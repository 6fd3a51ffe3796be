import json

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper

from fakes.onnx_files import outside_tensor, softmax_file, write
from modelport.domain.errors import ConversionFailed, InvalidInput, ModelportError, NotFound, Refused
from modelport.domain.signature import FeatureType, Task
from modelport.formats.onnx_file import convert_file
from modelport.runtime.batching import join, run_together
from modelport.runtime.codecs import TRITON_TYPE
from modelport.runtime.model import LoadedModel
from modelport.runtime.session import Session

FLOAT, INT64, STRING = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING
ROWS = np.random.default_rng(0).normal(size=(20, 3))


def serve(conversion, matrix):
    session = Session(conversion.serving)
    return dict(zip(session.outputs, session.run(list(session.outputs), matrix), strict=True))


def test_a_matrix_of_floats_gives_a_matrix_signature(tmp_path):
    conversion = convert_file(softmax_file(tmp_path / "m.onnx"), ROWS, labels=["a", "b", "c"])
    signature = conversion.signature
    assert signature.matrix
    assert signature.row_shape is None
    assert [feature.name for feature in signature.features] == ["x0", "x1", "x2"]
    assert {feature.type for feature in signature.features} == {FeatureType.DOUBLE}
    assert not any(feature.missing for feature in signature.features)
    assert signature.output.labels == ("a", "b", "c")
    assert signature.output.probabilities
    assert conversion.float32 == ("x",)
    found = serve(conversion, ROWS)
    wanted = conversion.original.answer(ROWS)
    assert found["probabilities"].dtype == np.float64
    np.testing.assert_array_equal(found["probabilities"], wanted.probabilities)
    np.testing.assert_array_equal(found["label"], wanted.label)


def test_float32_reaches_a_model_of_float32_as_it_was_sent(tmp_path):
    conversion = convert_file(softmax_file(tmp_path / "m.onnx"), ROWS)
    model = LoadedModel(conversion.signature, conversion.serving)
    wanted = conversion.original.answer(ROWS).probabilities
    sent = ROWS.astype("<f4")
    tensor = {"name": "input", "datatype": "FP32", "shape": list(sent.shape)}
    head = json.dumps({"inputs": [tensor | {"parameters": {"binary_data_size": sent.nbytes}}]}).encode()
    bodies = {
        f"{TRITON_TYPE};json-header-size={len(head)}": head + sent.tobytes(),
        TRITON_TYPE: json.dumps({"inputs": [tensor | {"data": sent.ravel().tolist()}]}).encode(),
        "application/json": json.dumps({"instances": ROWS.tolist()}).encode(),
    }
    for content_type, body in bodies.items():
        rows = model.decoder_for(content_type)(body)
        assert len(rows.data) == sent.nbytes
        assert not (rows.wish and rows.wish.widened)
        (answer,) = run_together(model.run, [rows], join([rows]), 3)
        np.testing.assert_array_equal(answer[0].probabilities, wanted, strict=True)
    for bad in (np.inf, np.nan):
        sent[4, 1] = bad
        with pytest.raises(InvalidInput, match="row 4"):
            model.decoder_for(f"{TRITON_TYPE};json-header-size={len(head)}")(head + sent.tobytes())


def test_columns_of_a_frame_name_the_features(tmp_path):
    frame = pd.DataFrame(ROWS, columns=["a", "b", "c"])
    conversion = convert_file(softmax_file(tmp_path / "m.onnx"), frame, units={"a": "m"})
    assert [(each.name, each.unit) for each in conversion.signature.features][:2] == [("a", "m"), ("b", None)]
    assert conversion.signature.output.labels == (0, 1, 2)


def test_one_number_an_input_gives_named_features(tmp_path):
    nodes = [
        helper.make_node("Cast", ["count"], ["wide"], to=FLOAT),
        helper.make_node("Cast", ["flag"], ["bit"], to=FLOAT),
        helper.make_node("Add", ["price", "wide"], ["sum"]),
        helper.make_node("Add", ["sum", "bit"], ["total"]),
    ]
    inputs = [("price", FLOAT, ["N", 1]), ("count", INT64, ["N", 1]), ("flag", TensorProto.BOOL, ["N", 1])]
    path = write(tmp_path / "m.onnx", nodes, inputs, [("total", FLOAT, ["N", 1])])
    example = pd.DataFrame({"price": [1.5, 2.5], "count": [1, 2], "flag": [True, False], "other": [0, 0]})
    conversion = convert_file(path, example)
    signature = conversion.signature
    assert not signature.matrix
    assert [(each.name, each.type) for each in signature.features] == [
        ("price", FeatureType.DOUBLE),
        ("count", FeatureType.INT64),
        ("flag", FeatureType.BOOL),
    ]
    assert (signature.output.task, signature.output.targets) == (Task.REGRESSION, ("total",))
    assert serve(conversion, np.array([[1.5, 2, 1]]))["predictions"].tolist() == [[4.5]]


def test_a_picture_keeps_its_shape(tmp_path):
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"], axis=1),
        helper.make_node("ReduceMean", ["flat"], ["mean"], axes=[1], keepdims=0),
    ]
    path = write(tmp_path / "m.onnx", nodes, [("image", FLOAT, ["N", 1, 2, 2])], [("mean", FLOAT, ["N"])])
    conversion = convert_file(path, np.ones((3, 1, 2, 2)))
    assert conversion.signature.row_shape == (1, 2, 2)
    assert len(conversion.signature.features) == 4
    assert serve(conversion, np.arange(4.0).reshape(1, 4))["predictions"].tolist() == [[1.5]]


def test_a_sigmoid_becomes_two_probabilities(tmp_path):
    nodes = [
        helper.make_node("ReduceSum", ["x", "axes"], ["sum"], keepdims=1),
        helper.make_node("Sigmoid", ["sum"], ["p"]),
    ]
    path = write(
        tmp_path / "m.onnx",
        nodes,
        [("x", FLOAT, ["N", 2])],
        [("p", FLOAT, ["N", 1])],
        {"axes": np.array([1])},
    )
    conversion = convert_file(path, np.array([[1.0, 2.0], [-3.0, 1.0]]), labels=["no", "yes"])
    found = serve(conversion, np.array([[1.0, 2.0], [-3.0, 1.0]]))
    assert found["label"].tolist() == [1, 0]
    assert found["probabilities"].sum(axis=1) == pytest.approx(1)
    assert conversion.signature.output.probabilities


def test_scores_that_are_no_probabilities_give_a_label_only(tmp_path):
    nodes = [helper.make_node("Identity", ["x"], ["scores"])]
    path = write(tmp_path / "m.onnx", nodes, [("x", FLOAT, ["N", 2])], [("scores", FLOAT, ["N", 2])])
    conversion = convert_file(path, np.array([[3.0, -2.0]]), labels=["no", "yes"])
    assert not conversion.signature.output.probabilities
    assert set(serve(conversion, np.array([[3.0, -2.0]]))) == {"label"}


@pytest.mark.parametrize("zipmap", [True, False])
@pytest.mark.parametrize("ml_opset", [1, 3])
def test_labels_in_words(tmp_path, zipmap, ml_opset):
    words = ["late", "on time"]
    nodes = [
        helper.make_node(
            "LinearClassifier",
            ["x"],
            ["label", "raw"],
            domain="ai.onnx.ml",
            coefficients=[1.0, 0.0, -1.0, 0.0],
            intercepts=[0.0, 0.0],
            classlabels_strings=words,
            post_transform="SOFTMAX",
        )
    ]
    scores = "raw"
    outputs = [("label", STRING, ["N"]), ("raw", FLOAT, ["N", 2])]
    if zipmap:
        scores = "zipped"
        nodes.append(
            helper.make_node("ZipMap", ["raw"], [scores], domain="ai.onnx.ml", classlabels_strings=words)
        )
        outputs = outputs[:1]
    path = write(tmp_path / "m.onnx", nodes, [("x", FLOAT, ["N", 2])], outputs, ml_opset=ml_opset)
    if zipmap:
        model = onnx.load(path)
        kind = helper.make_sequence_type_proto(
            helper.make_map_type_proto(STRING, helper.make_tensor_type_proto(FLOAT, []))
        )
        model.graph.output.append(helper.make_value_info(scores, kind))
        path.write_bytes(model.SerializeToString())
    rows = np.array([[1.0, 0.0], [-1.0, 5.0]])
    conversion = convert_file(path, rows)
    assert conversion.signature.output.labels == ("late", "on time")
    found = serve(conversion, rows)
    assert found["label"].tolist() == [0, 1]
    np.testing.assert_array_equal(found["probabilities"], conversion.original.answer(rows).probabilities)


def looked_up(path, classes):
    """Write a classifier as skl2onnx writes those of doubles: the label is looked up by its place."""
    nodes = [
        helper.make_node("Softmax", ["x"], ["scores"], axis=1),
        helper.make_node("ArgMax", ["x"], ["place"], axis=1, keepdims=0),
        helper.make_node("ArrayFeatureExtractor", ["classes", "place"], ["found"], domain="ai.onnx.ml"),
        helper.make_node("Reshape", ["found", "flat"], ["label"]),
    ]
    element = STRING if isinstance(classes[0], bytes) else INT64
    outputs = [("label", element, ["N"]), ("scores", FLOAT, ["N", 2])]
    words = helper.make_tensor("classes", element, [2], classes)
    constants = {"classes": words, "flat": np.array([-1])}
    return write(path, nodes, [("x", FLOAT, ["N", 2])], outputs, constants, ml_opset=1)


@pytest.mark.parametrize(
    ("classes", "labels", "shown"),
    [
        ([b"late", b"on time"], None, ("late", "on time")),
        ([b"late", b"on time"], ["no", "yes"], ("no", "yes")),
        ([7, 3], None, (7, 3)),
    ],
)
def test_labels_looked_up_by_their_place(tmp_path, classes, labels, shown):
    rows = np.array([[3.0, 1.0], [1.0, 3.0]])
    conversion = convert_file(looked_up(tmp_path / "m.onnx", classes), rows, labels=labels)
    assert conversion.signature.output.labels == shown
    assert conversion.original.answer(rows).label.tolist() == [0, 1]
    assert serve(conversion, rows)["label"].tolist() == [0, 1]


def test_a_label_that_no_list_names(tmp_path):
    nodes = [
        helper.make_node("Softmax", ["x"], ["scores"], axis=1),
        helper.make_node("ArgMax", ["x"], ["place"], axis=1, keepdims=0),
        helper.make_node("Add", ["place", "five"], ["label"]),
    ]
    outputs = [("label", INT64, ["N"]), ("scores", FLOAT, ["N", 2])]
    path = write(
        tmp_path / "m.onnx", nodes, [("x", FLOAT, ["N", 2])], outputs, {"five": np.array([5], dtype=np.int64)}
    )
    rows = np.array([[3.0, 1.0], [1.0, 3.0]])
    with pytest.raises(ConversionFailed, match="gives the label 5, expected one of 0, 1") as caught:
        convert_file(path, rows)
    assert "--labels" in (caught.value.hint or "")
    conversion = convert_file(path, rows, labels=[5, 6])
    assert conversion.original.answer(rows).label.tolist() == [0, 1]


def test_several_outputs_are_several_targets(tmp_path):
    nodes = [helper.make_node("Identity", ["x"], ["a"]), helper.make_node("Neg", ["x"], ["b"])]
    outputs = [("a", FLOAT, ["N", 2]), ("b", FLOAT, ["N", 2])]
    path = write(tmp_path / "m.onnx", nodes, [("x", FLOAT, ["N", 2])], outputs)
    conversion = convert_file(path, ROWS[:, :2])
    assert conversion.signature.output.targets == ("a_0", "a_1", "b_0", "b_1")


def test_text_is_refused_with_a_way_on(tmp_path):
    nodes = [helper.make_node("Identity", ["word"], ["same"])]
    path = write(tmp_path / "m.onnx", nodes, [("word", STRING, ["N", 1])], [("same", STRING, ["N", 1])])
    with pytest.raises(ConversionFailed, match="takes text in its input 'word'") as caught:
        convert_file(path, ROWS)
    assert "modelport.register" in caught.value.hint


@pytest.mark.parametrize(
    ("shape", "reason"), [([1, 3], "exactly 1 rows"), ([], "no rows"), (["N", "F"], "open")]
)
def test_sizes_that_cannot_be_served(tmp_path, shape, reason):
    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    path = write(tmp_path / "m.onnx", nodes, [("x", FLOAT, shape)], [("y", FLOAT, shape)])
    with pytest.raises(ConversionFailed, match=reason):
        convert_file(path)


def test_an_open_width_is_taken_from_the_example(tmp_path):
    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    path = write(tmp_path / "m.onnx", nodes, [("x", FLOAT, ["N", "F"])], [("y", FLOAT, ["N", "F"])])
    assert len(convert_file(path, ROWS).signature.features) == 3


def test_integers_that_break_the_file_are_bounded_by_the_example(tmp_path):
    nodes = [helper.make_node("Gather", ["table", "word"], ["vector"], axis=0)]
    path = write(
        tmp_path / "m.onnx",
        nodes,
        [("word", INT64, ["N"])],
        [("vector", FLOAT, ["N", 2])],
        {"table": np.ones((5, 2), dtype=np.float32)},
    )
    feature = convert_file(path, pd.DataFrame({"word": [0, 4, 2]})).signature.features[0]
    assert (feature.lower, feature.upper) == (0, 4)


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x08"])
def test_other_bytes_are_refused(tmp_path, content):
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(InvalidInput, match="no ONNX model"):
        convert_file(tmp_path / "m.onnx", ROWS)


def test_operators_of_strangers_are_refused(tmp_path):
    nodes = [helper.make_node("Run", ["x"], ["y"], domain="evil.ops")]
    path = write(tmp_path / "m.onnx", nodes, [("x", FLOAT, ["N", 2])], [("y", FLOAT, ["N", 2])])
    with pytest.raises(Refused, match=r"'Run' of 'evil\.ops'"):
        convert_file(path, ROWS)


def test_labels_must_be_as_many_as_classes(tmp_path):
    with pytest.raises(InvalidInput, match="2 labels for 3 classes"):
        convert_file(softmax_file(tmp_path / "m.onnx"), ROWS, labels=["a", "b"])


# ---- weights in other files


def outside(tmp_path, location, **entries):
    (tmp_path / "weights.bin").write_bytes(np.eye(3, dtype=np.float32).tobytes())
    return softmax_file(tmp_path / "m.onnx", weights=outside_tensor("weights", location, (3, 3), **entries))


@pytest.mark.parametrize(
    "location",
    ["weights.bin", "../weights.bin", "/etc/passwd", "sub/../weights.bin", "", ".", "..", "./weights.bin"],
)
def test_weights_elsewhere_are_refused_unless_listed(tmp_path, location):
    with pytest.raises(Refused, match="reads weights from another file"):
        convert_file(outside(tmp_path, location), ROWS)


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/passwd", "sub/weights.bin"])
def test_a_path_is_refused_even_when_listed(tmp_path, location):
    with pytest.raises(Refused):
        convert_file(outside(tmp_path, location), ROWS, external_data=[location])


def test_listed_weights_are_taken_in(tmp_path):
    conversion = convert_file(outside(tmp_path, "weights.bin"), ROWS, external_data=["weights.bin"])
    (tmp_path / "weights.bin").unlink()
    found = serve(conversion, ROWS)
    np.testing.assert_array_equal(found["probabilities"], conversion.original.answer(ROWS).probabilities)


def test_a_link_beside_the_model_is_refused(tmp_path):
    path = outside(tmp_path, "link.bin")
    (tmp_path / "link.bin").symlink_to("/etc/passwd")
    with pytest.raises(Refused, match="link"):
        convert_file(path, ROWS, external_data=["link.bin"])


@pytest.mark.parametrize("entries", [{"offset": 100}, {"offset": -1}, {"length": 10_000}])
def test_reading_beyond_the_file_is_refused(tmp_path, entries):
    path = outside(tmp_path, "weights.bin", **entries)
    with pytest.raises(InvalidInput, match="beyond"):
        convert_file(path, ROWS, external_data=["weights.bin"])


def test_a_listed_file_that_is_not_there(tmp_path):
    with pytest.raises(NotFound, match=r"absent\.bin"):
        convert_file(outside(tmp_path, "absent.bin"), ROWS, external_data=["absent.bin"])


def test_weights_hidden_inside_a_branch_are_found(tmp_path):
    tensor = outside_tensor("inner", "/etc/passwd", (2,))
    branch = helper.make_graph(
        [helper.make_node("Constant", [], ["hidden"], value=tensor)],
        "branch",
        [],
        [helper.make_tensor_value_info("hidden", FLOAT, [2])],
    )
    nodes = [
        helper.make_node("If", ["yes"], ["picked"], then_branch=branch, else_branch=branch),
        helper.make_node("Add", ["x", "picked"], ["y"]),
    ]
    path = write(
        tmp_path / "m.onnx",
        nodes,
        [("x", FLOAT, ["N", 2])],
        [("y", FLOAT, ["N", 2])],
        {"yes": np.array(True)},
    )
    with pytest.raises(ModelportError, match="/etc/passwd"):
        convert_file(path, ROWS[:, :2])
