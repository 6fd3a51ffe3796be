"""BentoML. MODEL_DIR=... WORKERS=1 bentoml serve bento_service:Service"""  # noqa: D415

import os

import bentoml
import numpy as np
from scoring import open_model


@bentoml.service(
    workers=int(os.environ["WORKERS"]),
    logging={"access": {"enabled": False}},
    traffic={"timeout": 30, "max_concurrency": 512},
)
class Service:
    """Rows under `rows`."""

    def __init__(self):
        self.score = open_model()

    @bentoml.api
    def predict(self, rows: np.ndarray) -> np.ndarray:
        return self.score(rows)
