"""The host as it really runs: a process on an inherited socket that answers in turn, or says why not."""

from __future__ import annotations

import http.client
import json
import socket
import sys
from contextlib import suppress

import pytest

from fakes.hosts import Host, OverSocket
from fakes.platform import wait_for
from modelport.engines.identity import identify

ECHO = """
import os
def model_fn(model_dir):
    return None
def transform_fn(model, body, content_type, accept):
    body = body.encode() if isinstance(body, str) else body
    if body == b"sleep":
        import time
        time.sleep(60)
    if body == b"parts":
        return iter([b"one", b"two" * 100_000])
    if body == b"fails between":
        def parts():
            yield b"one"
            raise ValueError("in the middle")
        return parts()
    if body == b"variables":
        return ",".join(sorted(os.environ)), "text/plain"
    return body, content_type
"""
SERVE = """
import http.server, os, sys
class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "text/x-own")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        self.answer(200, b"")
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if body == b"end":
            os._exit(3)
        self.answer(418 if body == b"tea" else 200, body + b" served")
assert sys.argv[1:] == ["serve"]
http.server.HTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Answers).serve_forever()
"""


@pytest.fixture
def run(tmp_path):
    """Return what makes a host of a script."""

    def make(text=ECHO, **told):
        code = tmp_path / "model" / "code"
        code.mkdir(parents=True)
        (code / "inference.py").write_text(text)
        return Host(tmp_path, model=str(tmp_path / "model"), **told)

    return make


def test_it_answers_and_sees_only_the_variables_it_was_given(run):
    with run(environment={"OWN": "o"}) as host:
        assert host.ready
        assert host.ask(b"hello", Content_Type="text/x") == (200, "text/x", b"hello")
        variables = host.ask(b"variables")[2].decode().split(",")
    assert "OWN" in variables
    assert not {"LEAKED", "PATH"} & set(variables)


def test_requests_on_one_connection_are_answered_in_turn(run):
    with run() as host:
        connection = OverSocket(host.path)
        for number in range(3):
            connection.request("POST", "/invocations", str(number).encode())
            assert connection.getresponse().read() == str(number).encode()
        connection.request("GET", "/ping")
        assert connection.getresponse().status == 200
        connection.close()
        with socket.socket(socket.AF_UNIX) as raw:
            raw.settimeout(20)
            raw.connect(str(host.path))
            whole = b"POST /invocations HTTP/1.1\r\nContent-Length: 4\r\n\r\n1234" * 2
            for byte in whole:
                raw.sendall(bytes([byte]))
            received = b""
            while received.count(b"1234") < 2:
                received += raw.recv(4096)


def test_parts_come_in_chunks_and_an_error_between_them_cuts_the_connection(run):
    with run() as host:
        assert host.ask(b"parts")[2] == b"one" + b"two" * 100_000
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            host.ask(b"fails between")
        assert host.ask(b"and on")[2] == b"and on"
        assert "in the middle" in host.said()


@pytest.mark.parametrize(
    "head",
    [
        b"nonsense\r\n\r\n",
        b"GET /ping HTTP/1.0\r\n\r\n",
        b"POST /invocations HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"POST /invocations HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /invocations HTTP/1.1\r\nno colon\r\n\r\n",
        b"x" * 70_000,
    ],
)
def test_what_is_no_request_is_refused_and_harms_nobody(run, head):
    with run() as host:
        with socket.socket(socket.AF_UNIX) as raw:
            raw.settimeout(20)
            raw.connect(str(host.path))
            raw.sendall(head)
            assert raw.recv(4096).startswith(b"HTTP/1.1 400 ")
        assert host.ask(b"and on")[2] == b"and on"


def test_a_request_that_takes_too_long_ends_the_process_and_shows_where_it_was(run):
    with run(invocation_timeout_s=0.5) as host:
        with pytest.raises((ConnectionError, OSError)):
            host.ask(b"sleep")
        assert host.ended() < 0
        assert "transform_fn" in host.said()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import no_such_module", "error: ModuleNotFoundError: No module named 'no_such_module' (note)"),
        ("def model_fn(d): raise ValueError('two\\nlines')", "error: ValueError: two lines (note)"),
        ("raise SystemExit(0)", "error: SystemExit: 0 (note)"),
    ],
)
def test_a_script_that_fails_at_the_start_ends_it_with_its_words(run, text, told):
    with run(text, note=" (note)") as host:
        assert not host.ready
        assert host.ended() == 1
        assert told in host.said().splitlines()


def test_a_start_that_takes_too_long_ends_it(run):
    with run("import time; time.sleep(60)", start_timeout_s=0.5) as host:
        assert not host.ready
        assert host.ended() < 0


def test_nobody_gets_in_before_it_is_ready(run):
    with run("import time; time.sleep(60)", start_timeout_s=1.0) as host:
        assert not host.ready  # it has ended by now, and never listened
        with socket.socket(socket.AF_UNIX) as raw, pytest.raises(ConnectionRefusedError):
            raw.connect(str(host.path))


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "serve"
    path.write_text(f"#!{sys.executable}\n{SERVE}")
    path.chmod(0o755)
    return path


def test_a_program_is_started_waited_for_and_asked(tmp_path, program):
    with Host(tmp_path, model=str(tmp_path), serve=[str(program), "serve"]) as host:
        assert host.ready
        for _ in range(3):
            assert host.ask(b"tea", Content_Type="text/plain") == (418, "text/x-own", b"tea served")
        with suppress(ConnectionError):  # it may end before its last word is out
            assert host.ask(b"end")[0] == 502
        assert host.ended() == 1
        assert "ended with exit code 3" in host.said()


@pytest.mark.skipif(sys.platform != "linux", reason="only there does the kernel see to it")
def test_a_program_ends_with_its_host(tmp_path, program):
    text = program.read_text().replace(
        "assert sys", f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\nassert sys"
    )
    program.write_text(text)
    with Host(tmp_path, model=str(tmp_path), serve=[str(program), "serve"]) as host:
        assert host.ready
        pid = int((tmp_path / "pid").read_text())
    wait_for(lambda: identify(pid) is None, what="the end of the program")


def test_a_program_that_cannot_be_started_is_told(tmp_path):
    with Host(tmp_path, model=str(tmp_path), serve=["/no/such/program"]) as host:
        assert not host.ready
        assert host.ended() == 1
        assert "error: FileNotFoundError" in host.said()


SHIMMED = """
from sagemaker_containers.beta.framework import content_types, encoders, worker
from sagemaker_inference import decoder, encoder, errors
from sagemaker_xgboost_container.data_utils import get_content_type

def model_fn(model_dir):
    return None
def input_fn(body, content_type):
    if get_content_type(content_type) == "text/plain":
        raise errors.UnsupportedFormatError(content_type)
    return decoder.decode(body, content_type)
def predict_fn(data, model):
    return encoders.encode(data, content_types.JSON)
def output_fn(prediction, accept):
    return worker.Response(prediction, mimetype=accept)
"""


def test_packages_that_scripts_import_are_there(run):
    with run(SHIMMED) as host:
        assert host.ready, host.said()
        found = host.ask(b"1,2\n", Content_Type="text/csv; charset=utf-8")
        assert (found[1], json.loads(found[2])) == ("application/json", [[1.0, 2.0]])
        assert host.ask(b"x", Content_Type="text/plain; charset=utf-8")[0] == 415
