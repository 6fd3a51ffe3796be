"""What most people write around a scikit-learn model of numbers.

MODEL_DIR=... KIND=sklearn uvicorn --app-dir bench/peers fastapi_matrix:app
"""

import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel
from scoring import open_model

score = open_model()
app = FastAPI()


class Request(BaseModel):
    """Rows as lists."""

    instances: list[list[float]]


@app.post("/predict")
def predict(request: Request):
    """Answer the probabilities."""
    return {"predictions": score(np.array(request.instances)).tolist()}
