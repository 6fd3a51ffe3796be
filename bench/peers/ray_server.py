"""Ray Serve. MODEL_DIR=... python ray_server.py PORT WORKERS FOLDER"""  # noqa: D415

import sys
import time

import numpy as np
import ray
from ray import serve
from scoring import open_model
from starlette.requests import Request

PORT, WORKERS, FOLDER = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]


@serve.deployment(num_replicas=WORKERS, max_ongoing_requests=256, ray_actor_options={"num_cpus": 0.5})
class Scorer:
    """Rows under `instances`."""

    def __init__(self):
        self.score = open_model()

    async def __call__(self, request: Request):
        rows = np.asarray((await request.json())["instances"], np.float32)
        return {"predictions": self.score(rows).tolist()}


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, _temp_dir=FOLDER)
    serve.start(http_options={"host": "127.0.0.1", "port": PORT})
    serve.run(Scorer.bind(), route_prefix="/predict")
    while True:
        time.sleep(10)
