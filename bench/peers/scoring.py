"""What every peer does in the middle: rows to probabilities, by ONNX Runtime or by scikit-learn.

MODEL_DIR names a folder with `model.onnx` and, for scikit-learn's models, `model.joblib`; KIND is `ort` or
`sklearn`. One thread for a call: the server has one core.
"""

import os

import numpy as np


def open_model():
    """Return a function: rows `[N, F]` to probabilities `[N, K]`."""
    folder = os.environ["MODEL_DIR"]
    if os.environ.get("KIND", "ort") == "sklearn":
        import joblib

        return joblib.load(f"{folder}/model.joblib").predict_proba
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(
        f"{folder}/model.onnx", options, providers=["CPUExecutionProvider"]
    )
    first = session.get_inputs()[0]
    outputs = [session.get_outputs()[-1].name]
    shape = (-1, *first.shape[1:])

    def score(rows):
        return session.run(outputs, {first.name: np.asarray(rows, np.float32).reshape(shape)})[0]

    return score
