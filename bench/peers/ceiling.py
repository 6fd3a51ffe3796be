"""The ceiling: the fastest serving path in Python that is known, without anything a platform needs.

    python bench/peers/ceiling.py MODEL.onnx PORT [WORKERS]

`POST /predict` takes `{"instances": rows}`, `POST /v2/models/m/infer` binary V2 tensors of FP32. A head is
looked up, not parsed again; rows are packed into float32 by struct or simdjson; whatever became readable in
one turn of the loop shares one call of the model. There are counters and a choice among versions, as any
server has, but no checks beyond the count of numbers, no limits, no deadlines, no capture, no logs.
"""

import asyncio
import gc
import os
import random
import struct
import sys
import time

import httptools
import msgspec
import numpy as np
import onnxruntime
import orjson
import simdjson
import uvloop

SMALL_BODY = 2048
SMALL_REPLY = 512
BATCH_ROWS = 64
HEADS_MAX = 4096
F4 = np.dtype("<f4")
JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
BINARY = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
    b"Inference-Header-Content-Length: %d\r\nContent-Length: %d\r\n\r\n%b%b"
)
BAD = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%b"


class Body(msgspec.Struct):
    """A JSON body."""

    instances: list[list[float]]


class Model:
    """A session, its decoders, and the requests of this turn."""

    def __init__(self, path):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        first = self.session.get_inputs()[0]
        self.name, self.shape = first.name, tuple(first.shape[1:])
        self.outputs = [self.session.get_outputs()[-1].name]
        self.width = int(np.prod(self.shape))
        self.pack = struct.Struct(f"<{self.width}f").pack
        self.decode = msgspec.json.Decoder(Body).decode
        self.parser = simdjson.Parser()
        self.pending, self.heads = [], {}
        self.versions = [(self, 1.0)]
        self.count, self.seconds, self.histogram = 0, 0.0, [0] * 40

    def choose(self):
        if len(self.versions) == 1:
            return self.versions[0][0]
        drawn = random.random()
        for version, weight in self.versions:
            drawn -= weight
            if drawn <= 0:
                return version
        return self.versions[-1][0]

    def run(self, matrix):
        return self.session._sess.run(  # noqa: SLF001 - the raw session is what the ceiling is about
            self.outputs, {self.name: matrix.reshape((-1, *self.shape))}, None
        )[0]

    def from_json(self, body):
        if len(body) > SMALL_BODY:
            rows = self.parser.parse(body)["instances"]
            return np.frombuffer(rows.as_buffer(of_type="d"), "f8").astype(F4).tobytes(), len(rows)
        rows = self.decode(body).instances
        return (self.pack(*rows[0]) if len(rows) == 1 else b"".join(self.pack(*row) for row in rows)), len(
            rows
        )

    def from_binary(self, body, length):
        head = body[:length]
        count = self.heads.get(head)
        if count is None:
            count = self.heads[head] = orjson.loads(head)["inputs"][0]["shape"][0]
        return memoryview(body)[length:], count

    def to_json(self, answer):
        if answer.size > SMALL_REPLY:
            body = orjson.dumps({"predictions": answer}, option=orjson.OPT_SERIALIZE_NUMPY)
        else:
            body = msgspec.json.encode({"predictions": answer.tolist()})
        return JSON % (len(body), body)

    def to_binary(self, answer):
        head = self.heads.get(answer.shape)
        if head is None:
            size = {"binary_data_size": answer.nbytes}
            output = {"name": "probabilities", "datatype": "FP32", "shape": answer.shape, "parameters": size}
            head = self.heads[answer.shape] = orjson.dumps({"model_name": "m", "outputs": [output]})
        return BINARY % (len(head), len(head) + answer.nbytes, head, answer.tobytes())


class Head:
    """A request head, parsed once: how long the body is, how it is read, how it is answered."""

    def __init__(self, block, model):
        self.headers, self.url = {}, b""
        httptools.HttpRequestParser(self).feed_data(block + b"\r\n\r\n")
        self.length = int(self.headers.get(b"content-length", 0))
        tensor = self.headers.get(b"inference-header-content-length")
        if tensor:
            size = int(tensor)
            self.read, self.write = (lambda body: model.from_binary(body, size)), model.to_binary
        else:
            self.read, self.write = model.from_json, model.to_json

    def on_url(self, url):
        self.url = url

    def on_header(self, name, value):
        self.headers[name.lower()] = value


class Connection(asyncio.Protocol):
    """One connection."""

    heads = {}  # noqa: RUF012 - one table for all connections
    model = None
    loop = None

    def connection_made(self, transport):
        self.write = transport.write
        self.left = b""
        self.head, self.parts, self.missing = None, [], 0

    def data_received(self, data):
        if self.parts:  # inside a long body
            self.parts.append(data)
            self.missing -= len(data)
            if self.missing > 0:
                return
            data, self.parts = b"".join(self.parts), []
            self.serve(self.head, data[: self.head.length])
            data = data[self.head.length :]
        elif self.left:
            data, self.left = self.left + data, b""
        at = 0
        while at < len(data):
            end = data.find(b"\r\n\r\n", at)
            if end < 0:
                self.left = data[at:]
                return
            block = data[at:end]
            head = self.heads.get(block)
            if head is None:
                head = Head(block, self.model)
                if len(self.heads) < HEADS_MAX:
                    self.heads[block] = head
            stop = end + 4 + head.length
            if len(data) < stop:
                self.head, self.parts, self.missing = head, [data[end + 4 :]], stop - len(data)
                return
            self.serve(head, data[end + 4 : stop])
            at = stop

    def serve(self, head, body):
        started = time.perf_counter()
        model = self.model.choose()
        try:
            rows, count = head.read(body)
            fits = len(rows) == 4 * count * model.width
        except (ValueError, struct.error, msgspec.DecodeError) as error:
            self.refuse(str(error))
            return
        if not fits:
            self.refuse("a row has another number of features")
            return
        if not model.pending:
            self.loop.call_soon(flush, model)
        model.pending.append((self.write, head, rows, count, started))

    def refuse(self, reason):
        told = reason.encode()
        self.write(BAD % (len(told), told))


def flush(model):
    pending, model.pending = model.pending, []
    while pending:
        rows = taken = 0
        for request in pending:
            rows += request[3]
            taken += 1
            if rows >= BATCH_ROWS:
                break
        batch, pending = pending[:taken], pending[taken:]
        parts = batch[0][2] if taken == 1 else b"".join([request[2] for request in batch])
        answers = model.run(np.frombuffer(parts, F4))
        at = 0
        for write, head, _, count, started in batch:
            write(head.write(answers[at : at + count]))
            at += count
            seconds = time.perf_counter() - started
            model.count += 1
            model.seconds += seconds
            model.histogram[int(seconds * 1e6).bit_length()] += 1


async def main(path, port):
    Connection.loop = loop = asyncio.get_running_loop()
    Connection.model = Model(path)
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    server = await loop.create_server(Connection, "127.0.0.1", port, backlog=1024, reuse_port=True)
    await server.serve_forever()


if __name__ == "__main__":
    for _ in range(int(sys.argv[3]) - 1 if len(sys.argv) > 3 else 0):
        if os.fork() == 0:
            break
    uvloop.run(main(sys.argv[1], int(sys.argv[2])))
