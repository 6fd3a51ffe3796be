"""What stands for functions that a script does not define, by framework.

Source: sagemaker-scikit-learn-container, sagemaker-xgboost-container and sagemaker-pytorch-inference-toolkit,
their default handlers.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import codecs

LIBSVM = ("text/libsvm", "text/x-libsvm")
JSON_LINES = "application/jsonlines"
MLFLOW_FILE = "MLmodel"
MLFLOW_QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
"""There is no network in a sandbox, and nobody asked for it."""


class Family:
    """Defaults of a framework."""

    needs_script = True
    accept = codecs.JSON
    transform_fn: Callable[..., Any] | None = None
    """Stands for the last three functions where a script defines none of them; None: those have defaults."""

    def model_fn(self, model_dir: str) -> Any:
        """Return the model of a folder; where a framework has no way of its own the script must have one.

        Raises:
            ValueError: It has none.
        """
        raise ValueError(f"the script defines no model_fn(model_dir), which loads the model of {model_dir}")

    def input_fn(self, body: Any, content_type: str) -> Any:
        """Return what a body says."""
        return codecs.decode(body, content_type)

    def predict_fn(self, data: Any, model: Any) -> Any:
        """Return what the model says of it."""
        return model.predict(data)

    def output_fn(self, prediction: Any, accept: str) -> Any:
        """Return it as text or bytes."""
        return codecs.encode(prediction, accept)


class ScikitLearn(Family):
    """One row alone becomes a matrix; numbers of text are float32, as in AWS's container."""

    def input_fn(self, body: Any, content_type: str) -> Any:
        """Return a matrix."""
        found = codecs.decode(body, content_type)
        if found.dtype.kind in "iuf" and not content_type.startswith((codecs.NPY, codecs.NPZ)):
            found = found.astype("float32")
        return found.reshape(1, -1) if found.ndim == 1 else found


class XGBoost(Family):
    """Bodies become a DMatrix. Without a script the archive's one model file is served by itself."""

    needs_script = False
    accept = codecs.CSV

    def model_fn(self, model_dir: str) -> Any:
        """Return the booster in the only file of the archive, which `Booster.save_model` wrote."""
        import xgboost

        files = [path for path in sorted(Path(model_dir).iterdir()) if path.is_file()]
        if len(files) != 1:
            raise ValueError(
                f"the archive holds {len(files)} files beside code/, expected the one model, or a model_fn"
            )
        booster = xgboost.Booster()
        booster.load_model(str(files[0]))
        return booster

    def input_fn(self, body: Any, content_type: str) -> Any:
        """Return a DMatrix."""
        import xgboost

        if content_type.partition(";")[0].strip().lower() in LIBSVM:
            return _libsvm(body)
        found = codecs.decode(body, content_type)
        return xgboost.DMatrix(found.reshape(1, -1) if found.ndim == 1 else found)

    def predict_fn(self, data: Any, model: Any) -> Any:
        """Return what the model says, without complaining that names of columns are unknown."""
        import xgboost

        if isinstance(model, xgboost.Booster):
            return model.predict(data, validate_features=False)
        return model.predict(data)

    def output_fn(self, prediction: Any, accept: str) -> Any:
        """Return scores, in the form of the built-in algorithm for JSON."""
        kind = accept.partition(";")[0].strip().lower()
        if kind == codecs.JSON:
            return json.dumps({"predictions": [{"score": score} for score in prediction.tolist()]})
        if kind == JSON_LINES:
            return "".join(json.dumps({"score": score}) + "\n" for score in prediction.tolist())
        if kind == codecs.CSV and getattr(prediction, "ndim", 2) == 1:
            return ",".join(str(score) for score in prediction.tolist())
        return codecs.encode(prediction, accept)


class PyTorch(Family):
    """Bodies become a tensor. Without a `model_fn`, `model.pth` or `model.pt` is loaded as TorchScript."""

    needs_script = False

    def model_fn(self, model_dir: str) -> Any:
        """Return the TorchScript module of the archive."""
        import torch

        found = [*Path(model_dir).glob("*.pt"), *Path(model_dir).glob("*.pth")]
        if len(found) != 1:
            raise ValueError(f"the archive holds {len(found)} files .pt or .pth, expected one, or a model_fn")
        return torch.jit.load(str(found[0]), map_location="cpu").eval()

    def input_fn(self, body: Any, content_type: str) -> Any:
        """Return a tensor; numbers with a point are float32."""
        import torch

        found = codecs.decode(body, content_type)
        return torch.tensor(found.astype("float32") if found.dtype == "float64" else found)

    def predict_fn(self, data: Any, model: Any) -> Any:
        """Return what the model says, without a graph of gradients."""
        import torch

        with torch.no_grad():
            return model(data)

    def output_fn(self, prediction: Any, accept: str) -> Any:
        """Return it as text or bytes."""
        return codecs.encode(
            prediction.detach().cpu().numpy() if hasattr(prediction, "detach") else prediction, accept
        )


class MLflow(Family):
    """A folder with an `MLmodel` file, served as MLflow's own scoring server serves it, by its own functions.

    A script is not needed: the file says what loads the model. Source: `mlflow.pyfunc.scoring_server`.
    """

    needs_script = False

    def model_fn(self, model_dir: str) -> Any:
        """Return the `python_function` of the folder, or of the only one in it.

        Raises:
            ValueError: Neither has an MLmodel file.
        """
        os.environ.update({name: os.environ.get(name, value) for name, value in MLFLOW_QUIET.items()})
        import mlflow.pyfunc

        return mlflow.pyfunc.load_model(str(_mlflow_folder(Path(model_dir))))

    def transform_fn(self, model: Any, body: Any, content_type: str, accept: str) -> Any:
        """Return what MLflow's scoring server answers, and its media type.

        Raises:
            UnsupportedFormat: It refuses the request; with its words and its status.
        """
        from mlflow.exceptions import MlflowException
        from mlflow.pyfunc import scoring_server

        del accept  # it answers in JSON, whatever is asked for
        try:
            said = scoring_server.invocations(body, content_type, model, model.metadata.get_input_schema())
        except MlflowException as error:
            raise codecs.UnsupportedFormat(error.message, error.get_http_status_code()) from error
        if said.status != 200:
            raise codecs.UnsupportedFormat(said.response, said.status)
        return said.response, said.mimetype


FAMILIES = {"sklearn": ScikitLearn, "xgboost": XGBoost, "pytorch": PyTorch, "mlflow": MLflow}


def find_family(name: str) -> Family:
    """Return a framework's defaults; of one that is not known here, those that all have in common."""
    return FAMILIES.get(name, Family)()


def _libsvm(body: Any) -> Any:
    """Return rows of `label index:value …`; labels are not looked at.

    Source: xgboost, "Text Input Format of DMatrix"; its own parser takes files only.
    """
    import numpy as np
    import xgboost

    text = body if isinstance(body, str) else body.decode("utf-8")
    rows: list[dict[int, float]] = []
    for line in text.splitlines():
        cells = [cell for cell in line.split() if ":" in cell]
        if line.strip():
            rows.append({int(index): float(value) for index, _, value in (c.partition(":") for c in cells)})
    width = max((index + 1 for row in rows for index in row), default=0)
    matrix = np.full((len(rows), width), np.nan, dtype="float32")
    for number, row in enumerate(rows):
        for index, value in row.items():
            matrix[number, index] = value
    return xgboost.DMatrix(matrix)


def _mlflow_folder(model_dir: Path) -> Path:
    if (model_dir / MLFLOW_FILE).is_file():
        return model_dir
    found = [path.parent for path in model_dir.glob(f"*/{MLFLOW_FILE}")]
    if len(found) != 1:
        raise ValueError(f"the archive has no {MLFLOW_FILE} file at its root, nor in one folder there")
    return found[0]
