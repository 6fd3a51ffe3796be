"""Small models as registered: some answer, some harm whoever loads them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Protocol

import numpy as np
import onnx
from onnx import TensorProto, helper

from modelport.domain.signature import Feature, FeatureType, Output, Signature, Task
from modelport.wire import manifest as bundle
from modelport.wire.signature import encode_signature

IR_VERSION = 9
OPSETS = [helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 3)]
ANSWER_STEP = 1000.0
CRASHING_DEPTH = 50_000  # ONNX Runtime walks a tree by recursion: this one overflows the stack


class Store(Protocol):
    """Where artifacts go."""

    def put(self, chunks: Iterable[bytes]) -> str:
        """Store bytes and return their SHA-256."""
        ...


def truthful_answer(version: int, row: list[float]) -> float:
    """Return what version `version` answers: no two versions, and no two sums, share an answer."""
    return sum(row) + ANSWER_STEP * version


def truthful_bundle(version: int, features: int = 2) -> dict[str, bytes]:
    """Return a model whose answers tell which version gave them."""
    weights = helper.make_tensor("w", TensorProto.DOUBLE, [features, 1], [1.0] * features)
    offset = helper.make_tensor("b", TensorProto.DOUBLE, [1], [ANSWER_STEP * version])
    nodes = [
        helper.make_node("MatMul", ["matrix", "w"], ["sum"]),
        helper.make_node("Add", ["sum", "b"], ["predictions"]),
    ]
    return _bundle(nodes, [weights, offset], features)


def crashing_bundle() -> dict[str, bytes]:
    """Return a model that ends the process which loads it with a segmentation fault."""
    depth = CRASHING_DEPTH
    count = 2 * depth + 1
    leaves = list(range(depth, count))
    tree = helper.make_node(
        "TreeEnsembleRegressor",
        ["matrix"],
        ["score"],
        domain="ai.onnx.ml",
        nodes_treeids=[0] * count,
        nodes_nodeids=list(range(count)),
        nodes_featureids=[0] * count,
        nodes_values_as_tensor=helper.make_tensor("v", TensorProto.DOUBLE, [count], [0.0] * count),
        nodes_modes=["BRANCH_LEQ"] * depth + ["LEAF"] * (depth + 1),
        nodes_truenodeids=[*range(1, depth + 1), *[0] * (depth + 1)],
        nodes_falsenodeids=[*range(depth + 1, count), *[0] * (depth + 1)],
        target_treeids=[0] * len(leaves),
        target_nodeids=leaves,
        target_ids=[0] * len(leaves),
        target_weights_as_tensor=helper.make_tensor(
            "t", TensorProto.DOUBLE, [len(leaves)], [1.0] * len(leaves)
        ),
        n_targets=1,
    )
    return _bundle([tree, helper.make_node("Cast", ["score"], ["predictions"], to=TensorProto.DOUBLE)], [], 2)


def hanging_bundle() -> dict[str, bytes]:
    """Return a model that never answers: a loop without an end."""
    forever = helper.make_tensor("yes", TensorProto.BOOL, [], [True])
    axis = helper.make_tensor("axis", TensorProto.INT64, [1], [1])
    nodes = [
        helper.make_node("ReduceSum", ["matrix", "axis"], ["sum"], keepdims=1),
        helper.make_node("Loop", ["", "yes", "sum"], ["predictions"], body=_turn()),
    ]
    return _bundle(nodes, [forever, axis], 2)


def looping_bundle(turns: int) -> dict[str, bytes]:
    """Return a model that turns in a loop, `turns` times and as many more as the first feature says."""
    constants = [
        helper.make_tensor("yes", TensorProto.BOOL, [], [True]),
        helper.make_tensor("axis", TensorProto.INT64, [1], [1]),
        helper.make_tensor("first", TensorProto.INT64, [1], [0]),
        helper.make_tensor("turns", TensorProto.INT64, [], [turns]),
    ]
    nodes = [
        helper.make_node("ReduceSum", ["matrix", "axis"], ["sum"], keepdims=1),
        helper.make_node("Gather", ["matrix", "first"], ["column"], axis=1),
        helper.make_node("ReduceMax", ["column"], ["most"], keepdims=0),
        helper.make_node("Cast", ["most"], ["more"], to=TensorProto.INT64),
        helper.make_node("Add", ["turns", "more"], ["all"]),
        helper.make_node("Loop", ["all", "yes", "sum"], ["predictions"], body=_turn()),
    ]
    return _bundle(nodes, constants, 2)


def swelling_bundle() -> dict[str, bytes]:
    """Return a model that asks for as many numbers as the first feature says."""
    constants = [
        helper.make_tensor("axis", TensorProto.INT64, [1], [1]),
        helper.make_tensor("first", TensorProto.INT64, [1], [0]),
        helper.make_tensor("one", TensorProto.INT64, [1], [1]),
    ]
    zero = helper.make_tensor("zero", TensorProto.DOUBLE, [1], [0.0])
    nodes = [
        helper.make_node("ReduceSum", ["matrix", "axis"], ["sum"], keepdims=1),
        helper.make_node("Gather", ["matrix", "first"], ["column"], axis=1),
        helper.make_node("ReduceMax", ["column"], ["most"], keepdims=0),
        helper.make_node("Cast", ["most"], ["whole"], to=TensorProto.INT64),
        helper.make_node("Add", ["whole", "one"], ["shape"]),
        helper.make_node("ConstantOfShape", ["shape"], ["huge"], value=zero),
        helper.make_node("ReduceSum", ["huge"], ["total"], keepdims=0),
        helper.make_node("Add", ["sum", "total"], ["predictions"]),
    ]
    return _bundle(nodes, constants, 2)


def _turn() -> onnx.GraphProto:
    return helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["going_on"]),
            helper.make_node("Identity", ["carried"], ["carried_on"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("carried", TensorProto.DOUBLE, None),
        ],
        [
            helper.make_tensor_value_info("going_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("carried_on", TensorProto.DOUBLE, None),
        ],
    )


def hungry_bundle() -> dict[str, bytes]:
    """Return a model that asks for 80 TB when it is run."""
    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [10_000_000, 1_000_000])
    zero = helper.make_tensor("zero", TensorProto.DOUBLE, [1], [0.0])
    axis = helper.make_tensor("axis", TensorProto.INT64, [1], [1])
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["huge"], value=zero),
        helper.make_node("ReduceSum", ["huge"], ["total"], keepdims=0),
        helper.make_node("ReduceSum", ["matrix", "axis"], ["sum"], keepdims=1),
        helper.make_node("Add", ["sum", "total"], ["predictions"]),
    ]
    return _bundle(nodes, [shape, axis], 2)


def store_bundle(store: Store, files: dict[str, bytes], *, batch_difference: float = 0.0) -> str:
    """Store the files and their manifest; return the manifest's digest."""
    digests = {name: store.put([content]) for name, content in files.items()}
    manifest = bundle.Manifest(digests, batch_difference=batch_difference)
    return store.put([bundle.encode_manifest(manifest)])


def bundle_digest(files: dict[str, bytes]) -> str:
    """Return the digest the files will have once stored."""
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return hashlib.sha256(bundle.encode_manifest(bundle.Manifest(digests))).hexdigest()


def _bundle(
    nodes: list[onnx.NodeProto], constants: list[onnx.TensorProto], features: int
) -> dict[str, bytes]:
    graph = helper.make_graph(
        nodes,
        "serving",
        [helper.make_tensor_value_info("matrix", TensorProto.DOUBLE, [None, features])],
        [helper.make_tensor_value_info("predictions", TensorProto.DOUBLE, [None, 1])],
        initializer=constants,
    )
    model = helper.make_model(graph, opset_imports=OPSETS, ir_version=IR_VERSION)
    names = [f"x{column}" for column in range(features)]
    signature = Signature(
        features=tuple(Feature(name, FeatureType.DOUBLE, missing=False) for name in names),
        output=Output(Task.REGRESSION, targets=("y",)),
        matrix=True,
    )
    return {bundle.SERVING_GRAPH: model.SerializeToString(), bundle.SIGNATURE: encode_signature(signature)}


def row_for(number: int, features: int = 2) -> list[float]:
    """Return the `number`-th row of a truthful client: integers below `ANSWER_STEP`, all sums exact."""
    drawn = np.random.default_rng(number).integers(0, int(ANSWER_STEP) // features, features)
    return [float(value) for value in drawn]
