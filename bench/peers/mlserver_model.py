"""MLServer's custom runtime around ONNX Runtime, as its docs have it."""

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, NumpyRequestCodec
from mlserver.types import InferenceResponse
from scoring import open_model


class OrtModel(MLModel):
    """V2 in, V2 out."""

    async def load(self):
        self.score = open_model()
        return True

    async def predict(self, payload):
        rows = self.decode_request(payload, default_codec=NumpyRequestCodec)
        answer = NumpyCodec.encode_output("probabilities", np.asarray(self.score(rows)))
        return InferenceResponse(model_name=self.name, outputs=[answer])
