"""MLflow models, served as MLflow's own scoring server serves them, by its own functions.

Source: MLflow, `mlflow.pyfunc.scoring_server`: `dataframe_split`, `dataframe_records`, `instances`, `inputs`
and `params` in JSON, or CSV with a header; the reply is `{"predictions": ...}`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from . import codecs
from .families import Family

DESCRIPTION = "MLmodel"
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
"""There is no network in a sandbox, and nobody asked for it."""


class MLflow(Family):
    """A folder with an `MLmodel` file. A script is not needed: the file says what loads the model."""

    needs_script = False

    def model_fn(self, model_dir: str) -> Any:
        """Return the `python_function` of the folder, or of the only one in it.

        Raises:
            ValueError: Neither has an MLmodel file.
        """
        os.environ.update({name: os.environ.get(name, value) for name, value in QUIET.items()})
        import mlflow.pyfunc

        return mlflow.pyfunc.load_model(str(_folder(Path(model_dir))))

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


def _folder(model_dir: Path) -> Path:
    if (model_dir / DESCRIPTION).is_file():
        return model_dir
    found = [path.parent for path in model_dir.glob(f"*/{DESCRIPTION}")]
    if len(found) != 1:
        raise ValueError(f"the archive has no {DESCRIPTION} file at its root, nor in one folder there")
    return found[0]
