"""What most people write around a scikit-learn pipeline.

MODEL=pipeline.joblib uvicorn --app-dir bench/peers fastapi_sklearn:app
"""

import os
from typing import Any

import joblib
import pandas as pd
from fastapi import FastAPI
from pydantic import BaseModel

pipeline = joblib.load(os.environ["MODEL"])
app = FastAPI()


class Request(BaseModel):
    """Rows as records."""

    instances: list[dict[str, Any]]


@app.post("/predict")
def predict(request: Request):
    """Answer like our endpoint."""
    probabilities = pipeline.predict_proba(pd.DataFrame.from_records(request.instances))
    return {
        "predictions": pipeline.classes_[probabilities.argmax(axis=1)].tolist(),
        "probabilities": probabilities.tolist(),
        "classes": pipeline.classes_.tolist(),
    }
