"""Every other last step, through skl2onnx, on numbers in double.

The nodes are taken over into our graph behind our own preprocessing. Nothing is promised about their bits:
the parity proof decides. Where skl2onnx has no double form, the float32 one is used and named.
"""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from modelport.domain.errors import ConversionFailed, Refused
from modelport.formats.blocks import Block
from modelport.formats.elementwise import SINGLE, Operation
from modelport.formats.emission import Emission
from modelport.formats.graph import ML, Graph, array_tensor, text_tensor
from modelport.formats.scikit.walk import Walk, quiet

STOCK_ML = 4  # the newest `ai.onnx.ml` in which skl2onnx's tree nodes still exist
STOCK_OPSETS = {"": 20, ML: 3}
OUR_OWN = "LogisticRegression, RandomForestClassifier, HistGradientBoostingClassifier and their kin"


def convert_stock(walk: Walk, model: Any, block: Block, where: str) -> Emission:
    """Convert a model through skl2onnx.

    Raises:
        ConversionFailed: skl2onnx cannot convert it.
        Refused: skl2onnx is not installed.
    """
    name = type(model).__name__
    classes = getattr(model, "classes_", None)
    if isinstance(classes, list):
        raise ConversionFailed(
            f"{where} ({name}) predicts several labels at once, which modelport cannot convert yet",
            hint="train one classifier for each label",
        )
    graph = walk.graph
    tensor, places = walk.body.collect(block.columns)
    if places != list(range(len(places))):
        tensor = graph.columns(tensor, places)
    stock, single = _converted(model, len(block), where)
    if single:
        walk.note_float32(f"{where} ({name})")
        tensor = graph.cast(tensor, TensorProto.FLOAT)
    graph.opsets[ML] = STOCK_ML
    outputs = _taken_over(graph, stock, tensor)
    # many round inside; whether this one does is asked of the original
    seen = [each for chain in block.chains() for each in (chain, chain.then(Operation(SINGLE)))]
    limits: dict[str, Any] = {"seen": tuple(seen), "limits": block.limits()}
    if classes is None:
        targets = max(1, int(np.size(model.predict(np.zeros((1, len(block)))))))
        shape = graph.constant([-1, targets], np.int64)
        predictions = graph.cast(graph.add("Reshape", outputs[0], shape), TensorProto.DOUBLE)
        return Emission("other", predictions=predictions, targets=targets, **limits)
    probabilities = None
    if hasattr(model, "predict_proba"):
        probabilities = graph.cast(outputs[1], TensorProto.DOUBLE)
    return Emission("other", label=_index(graph, outputs[0], classes), probabilities=probabilities, **limits)


def _converted(model: Any, width: int, where: str) -> tuple[onnx.ModelProto, bool]:
    """Return skl2onnx's model, and whether it takes float32."""
    try:
        from skl2onnx import convert_sklearn
        from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType
    except ImportError as error:
        raise Refused(
            f"{where} is a {type(model).__name__}, which needs skl2onnx, and that is not installed",
            hint="pip install 'modelport[sklearn]'",
        ) from error
    if getattr(model, "flatten_transform", False):
        model = copy(model)  # skl2onnx refuses an option that only `transform` looks at
        model.flatten_transform = False
    options = {id(model): {"zipmap": False}} if hasattr(model, "classes_") else None
    reasons = []
    for kind, single in ((DoubleTensorType, False), (FloatTensorType, True)):
        try:
            with quiet():
                stock = convert_sklearn(
                    model,
                    initial_types=[("X", kind([None, width]))],
                    options=options,
                    target_opset=STOCK_OPSETS,
                )
            _try_out(stock, width, single=single)
        except Exception as error:  # noqa: BLE001 - skl2onnx and onnxruntime raise whatever they like
            reasons.append(str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__)
        else:
            return stock, single
    raise ConversionFailed(
        f"{where} is a {type(model).__name__}, "
        f"which neither modelport nor skl2onnx can convert: {reasons[-1]}",
        hint=f"use a model that can be converted, such as {OUR_OWN}",
    )


def _try_out(stock: onnx.ModelProto, width: int, *, single: bool) -> None:
    """Run the model once, because many a double form is written that ONNX Runtime has no kernel for."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what fails here is tried in another form
    session = onnxruntime.InferenceSession(
        stock.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    session.run(None, {"X": np.zeros((1, width), np.float32 if single else np.float64)})


def _taken_over(graph: Graph, stock: onnx.ModelProto, tensor: str) -> list[str]:
    """Add the nodes of another model to the graph; return the names of its outputs."""
    names = {"X": tensor, "": ""}
    for constant in stock.graph.initializer:
        names[constant.name] = f"/stock/{constant.name}"
        mine = onnx.TensorProto()
        mine.CopyFrom(constant)
        mine.name = names[constant.name]
        graph.constants[mine.name] = mine
    for node in stock.graph.node:
        taken = onnx.NodeProto()
        taken.CopyFrom(node)
        taken.name = f"/stock/{node.name}"
        for place, name in enumerate(node.input):
            taken.input[place] = names.get(name, f"/stock/{name}")
        for place, name in enumerate(node.output):
            names[name] = f"/stock/{name}" if name else ""
            taken.output[place] = names[name]
        graph.nodes.append(taken)
    for opset in stock.opset_import:
        graph.opsets.setdefault(opset.domain, opset.version)
    return [names[output.name] for output in stock.graph.output]


def _index(graph: Graph, label: str, classes: Any) -> str:
    """Return the place of each label word among the classes."""
    if classes.dtype.kind in "OUS":
        keys = text_tensor("keys", [str(word) for word in classes.tolist()])
    else:
        keys = array_tensor(classes.astype(np.int64))
        label = graph.cast(label, TensorProto.INT64)
    flat = graph.add("Reshape", label, graph.constant([-1], np.int64))
    return graph.add(
        "LabelEncoder",
        flat,
        domain=ML,
        keys_tensor=keys,
        values_tensor=array_tensor(np.arange(len(classes), dtype=np.int64)),
        default_tensor=array_tensor(np.zeros(1, np.int64)),
    )
