"""Raw ASGI + msgspec + ONNX Runtime: the least that can stand on uvicorn.

MODEL_DIR=... uvicorn --app-dir bench/peers asgi_ort:app
"""

import msgspec
import numpy as np
from scoring import open_model

score = open_model()
encode = msgspec.json.Encoder().encode


class Body(msgspec.Struct):
    """A JSON body."""

    instances: list[list[float]]


decode = msgspec.json.Decoder(Body).decode


async def app(scope, receive, send):
    """Answer the probabilities."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    parts, more = [], True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    answer = encode({"predictions": score(np.array(decode(b"".join(parts)).instances, np.float32)).tolist()})
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
