"""The published graph, run as another platform would: one named input per column, label words out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelport.domain.errors import CheckFailed
from modelport.domain.signature import Signature, Task
from modelport.evaluation.probes import Columns
from modelport.sdk.asking import Answered

LOG_ERRORS_ONLY = 3


class PublishedModel:
    """A published graph in memory.

    Args:
        signature: The model's.
        graph: The `.onnx` file's bytes.
    """

    def __init__(self, signature: Signature, graph: bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = LOG_ERRORS_ONLY
        try:
            self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            # onnxruntime raises a dozen unrelated classes for a graph it cannot take
            raise CheckFailed(f"ONNX Runtime cannot load the published graph: {error}") from error
        self._signature = signature

    def run(self, columns: Columns) -> Answered:
        """Answer rows that are held by column.

        Args:
            columns: Feature name to values, `[N]` each, as `evaluation.probes` holds them.

        Raises:
            CheckFailed: It answers a label that the signature does not have.
        """
        from modelport.formats.front import inputs_of

        found = dict(
            zip(
                (output.name for output in self._session.get_outputs()),
                self._session.run(None, inputs_of(self._signature, columns)),
                strict=True,
            )
        )
        predictions: NDArray[Any] = found["predictions"]
        if self._signature.output.task is Task.REGRESSION:
            return Answered(predictions=predictions.reshape(len(predictions), -1))
        labels = self._signature.output.labels
        spelled = predictions.dtype == object  # labels of several types are published as text
        places = {
            repr(label) if spelled and not isinstance(label, str) else label: place
            for place, label in enumerate(labels)
        }
        try:
            label = np.array([places[word] for word in predictions.reshape(-1).tolist()], dtype=np.int64)
        except KeyError as error:
            raise CheckFailed(f"the published graph answers {error}, which is no label") from error
        return Answered(label=label, probabilities=found.get("probabilities"))
