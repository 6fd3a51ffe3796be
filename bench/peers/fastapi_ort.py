"""FastAPI + ONNX Runtime, written with care: no thread pool around a call of microseconds.

MODEL_DIR=... uvicorn --app-dir bench/peers fastapi_ort:app
"""

from fastapi import FastAPI
from pydantic import BaseModel
from scoring import open_model

score = open_model()
app = FastAPI()


class Request(BaseModel):
    """Rows as lists."""

    instances: list[list[float]]


@app.post("/predict")
async def predict(request: Request):
    """Answer the probabilities."""
    return {"predictions": score(request.instances).tolist()}
