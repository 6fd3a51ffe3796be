"""KServe's Python server. MODEL_DIR=... python kserve_server.py PORT WORKERS"""  # noqa: D415

import sys

import numpy as np
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer
from scoring import open_model


class Scorer(Model):
    """V1 and V2."""

    def __init__(self):
        super().__init__("m")
        self.load()

    def load(self):
        self.score = open_model()
        self.ready = True
        return True

    def __getstate__(self):  # the server pickles its models for further workers; a session cannot be
        return {name: value for name, value in self.__dict__.items() if name != "score"}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self.load()

    def predict(self, payload, headers=None, response_headers=None):  # noqa: ARG002 - KServe's form
        if not isinstance(payload, InferRequest):
            return {"predictions": self.score(payload["instances"]).tolist()}
        answer = np.asarray(self.score(payload.inputs[0].as_numpy()), np.float32)
        output = InferOutput("probabilities", list(answer.shape), "FP32")
        output.set_data_from_numpy(answer, binary_data=bool(payload.from_grpc is False))
        return InferResponse(payload.id or "1", self.name, [output])


if __name__ == "__main__":
    ModelServer(
        http_port=int(sys.argv[1]), enable_grpc=False, workers=int(sys.argv[2]), access_log_format=None
    ).start([Scorer()])
