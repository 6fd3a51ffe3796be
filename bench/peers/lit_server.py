"""LitServe. MODEL_DIR=... python lit_server.py PORT WORKERS"""  # noqa: D415

import sys

import litserve
import numpy as np
from scoring import open_model


class Api(litserve.LitAPI):
    """Rows under `instances`."""

    def setup(self, device):  # noqa: ARG002 - LitServe's form
        self.score = open_model()

    def decode_request(self, request):
        return np.asarray(request["instances"], np.float32)

    def predict(self, x):
        return self.score(x)

    def encode_response(self, output):
        return {"predictions": output.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Api(), accelerator="cpu", workers_per_device=int(sys.argv[2]))
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        num_api_servers=int(sys.argv[2]),
        generate_client_file=False,
        log_level="warning",
        access_log=False,
    )
