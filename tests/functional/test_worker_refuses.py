"""Malformed requests over HTTP: a 4xx that says where, never a 5xx, never a neighbour's trouble."""

from __future__ import annotations

import json
from typing import BinaryIO

from fakes import malformed
from fakes.graphs import linear_classifier
from fakes.serving import WorkerInThread, endpoint
from fakes.signatures import FLIGHT, FLIGHTS
from modelport.wire.manifest import SERVING_GRAPH, SIGNATURE
from modelport.wire.signature import encode_signature

GOOD = json.dumps({"instances": [FLIGHT]}).encode()


def request(
    content_type: str, body: bytes, *, path: str = "/endpoints/flights/invocations", more: str = ""
) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{more}"
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def ways(case: malformed.Malformed) -> list[bytes]:
    """Return the case as a request of each protocol that has its form."""
    packed = f"Content-Encoding: {case.encoding}\r\n" if case.encoding else ""
    found = [request(case.content_type, case.body, more=packed)]
    if case.content_type == malformed.JSON:
        found.append(request(case.content_type, case.body, path="/v1/models/flights:predict", more=packed))
    if case.content_type.startswith(malformed.TENSORS):
        size = case.content_type.partition("json-header-size=")[2]
        more = f"Inference-Header-Content-Length: {size}\r\n" if size else ""
        found.append(request(malformed.JSON, case.body, path="/v2/models/flights/infer", more=more))
    return found


def read_reply(stream: BinaryIO) -> tuple[int, bytes]:
    status = int(stream.readline().split()[1])
    length = 0
    while line := stream.readline().strip():
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return status, stream.read(length)


def test_malformed_requests_are_refused_between_good_ones(tmp_path):
    """Three requests arrive in one piece; the one in the middle is broken and the others do not notice."""
    worker = WorkerInThread(tmp_path)
    digest = worker.put(
        {SERVING_GRAPH: linear_classifier(len(FLIGHTS.features)), SIGNATURE: encode_signature(FLIGHTS)}
    )
    worker.publish(1, endpoint("flights", ("v1", "flights:1", digest, 1.0)))
    wrong = []
    with worker, worker.connect() as connection, connection.makefile("rb") as stream:
        good = request("application/json", GOOD)
        connection.sendall(good)
        expected = read_reply(stream)
        assert expected[0] == 200
        cases = malformed.malformed_requests()
        for case, broken in [(each, way) for each in cases for way in ways(each)]:
            connection.sendall(good + broken + good)
            before, (status, body), after = read_reply(stream), read_reply(stream), read_reply(stream)
            told = json.loads(body)
            placed = case.row in (None, told.get("row")) and case.feature in (None, told.get("feature"))
            if not placed or not 400 <= status < 500 or {before, after} != {expected}:
                wrong.append((str(case), status, body))
    assert len(cases) > 600
    assert wrong == []
