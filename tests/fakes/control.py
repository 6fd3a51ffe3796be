"""A control port that answers what a test wrote down: a dock for the SDK's transport."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

Answer = Any
URL = "http://127.0.0.1:8090"


class ScriptedControl(httpx.BaseTransport):
    """Answers requests from a script and remembers them.

    Args:
        script: `"GET /path"` to an answer: a document (200), a `(status, document)`, an exception to raise, a
            function of the request that returns one of these, or a list of them, used up one by one (the
            last one stays).
    """

    def __init__(self, script: dict[str, Answer]) -> None:
        self.script = dict(script)
        self.seen: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        request.read()
        self.seen.append(request)
        key = f"{request.method} {request.url.path}"
        if key not in self.script:
            return problem(404, "not_found", f"nothing is scripted for {key}")
        return self._answer(key, self.script[key], request)

    def bodies(self, key: str) -> list[Any]:
        """Return the JSON bodies of the requests to `key`."""
        return [
            json.loads(request.content)
            for request in self.seen
            if f"{request.method} {request.url.path}" == key
        ]

    def _answer(self, key: str, answer: Answer, request: httpx.Request) -> httpx.Response:
        if isinstance(answer, list):
            self.script[key] = answer[1:] if len(answer) > 1 else answer[0]
            answer = answer[0]
        if isinstance(answer, Callable) and not isinstance(answer, type):
            answer = answer(request)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return answer
        if isinstance(answer, tuple):
            return httpx.Response(answer[0], json=answer[1])
        return httpx.Response(200, json=answer)


@contextmanager
def listening(control: ScriptedControl) -> Iterator[str]:
    """Answer from a script on a real port, and yield its URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer = control.handle_request(
                httpx.Request(self.command, f"{URL}{self.path}", headers=dict(self.headers), content=body)
            )
            self.send_response(answer.status_code)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if "content-length" not in answer.headers:
                self.send_header("content-length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = handle_any  # noqa: N815 - its names

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def problem(status: int, code: str, detail: str, **more: Any) -> httpx.Response:
    """Return an error as our REST writes it."""
    return httpx.Response(status, json={"code": code, "detail": detail, **more})


def endpoint(
    status: str = "InService",
    *,
    generation: int = 1,
    observed: int | None = None,
    reason: str | None = None,
    **weights: float,
) -> dict[str, Any]:
    """Return an endpoint's description."""
    variants = [
        {"variant_name": name, "current_weight": weight, "desired_weight": weight}
        for name, weight in (weights or {"v1": 1.0}).items()
    ]
    state = {"endpoint_status": status, "production_variants": variants, "endpoint_config_name": "c"}
    return {
        "kind": "Endpoint",
        "name": "e",
        "spec": {"endpoint_name": "e", "endpoint_config_name": "c"},
        "status": state | ({"failure_reason": reason} if reason else {}),
        "modelport": {},
        "generation": generation,
        "observed_generation": generation if observed is None else observed,
    }


class TurnedClock:
    """A clock whose sleeps cost nothing."""

    def __init__(self) -> None:
        self.at = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        """Return the seconds slept so far."""
        return self.at

    def sleep(self, seconds: float) -> None:
        """Turn the hands."""
        self.slept.append(seconds)
        self.at += seconds
