"""A replica in each isolation that works here: what it sees, what it is told, what it cannot do."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile

import pytest

from modelport.domain.errors import InvalidInput, Refused
from modelport.engines.images import Environment
from modelport.engines.isolation import Isolation, find_isolation
from modelport.engines.replicas import HOST, MODEL, SOURCE, check_isolation, check_wanted, plan_launch
from modelport.wire import sockets

BEST = list(Isolation).index(find_isolation())
WORKING = list(Isolation)[BEST:]
SCRIPT = """
import json, os, socket

def model_fn(model_dir):
    return open(os.path.join(model_dir, "word")).read()

def transform_fn(model, body, content_type, accept):
    found = {"word": model, "dir": os.environ["SM_MODEL_DIR"], "own": os.environ["OWN"], "pid": os.getpid()}
    found["leaked"] = sorted(name for name in os.environ if name.startswith("LEAKED"))
    found["secret"] = os.path.exists(SECRET)
    try:
        socket.create_connection(("127.0.0.1", PORT), timeout=2).close()
        found["network"] = True
    except OSError:
        found["network"] = False
    return json.dumps(found)
"""


@pytest.fixture
def folders(tmp_path):
    model, source = tmp_path / "model", tmp_path / "source"
    model.mkdir()
    source.mkdir()
    (model / "word").write_text("hello")
    (tmp_path / "secret").write_text("x")
    return model, source


def ask(path, launch):
    """Run a replica, ask it once and end it; return what it says."""
    with sockets.bind(path) as listener, tempfile.TemporaryFile() as file:
        told = {"socket_fd": listener.fileno(), "start_timeout_s": 60.0, "invocation_timeout_s": 60.0}
        ready, word = os.pipe()
        file.write(json.dumps({**launch.told, **told, "ready_fd": word}).encode())
        file.flush()
        process = subprocess.Popen(
            [*launch.command, str(file.fileno())],
            pass_fds=[file.fileno(), listener.fileno(), word],
            env={"PATH": os.environ["PATH"], "LEAKED": "x"},
        )
    os.close(word)
    try:
        assert os.read(ready, 1) == b"1"
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            connection.sendall(b"POST /invocations HTTP/1.1\r\nContent-Length: 1\r\n\r\nx")
            return json.loads(connection.recv(65_536).partition(b"\r\n\r\n")[2])
    finally:
        os.close(ready)
        process.kill()
        process.wait()


@pytest.mark.parametrize("apart", [False, True], ids=["code with the model", "code apart"])
@pytest.mark.parametrize("isolation", WORKING)
def test_code_runs_on_its_model_and_sees_what_it_may(folders, tmp_path, isolation, apart):
    model, source = folders
    code = source if apart else model / "code"
    code.mkdir(exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as server:
        script = SCRIPT.replace("SECRET", repr(str(tmp_path / "secret")))
        (code / "inference.py").write_text(script.replace("PORT", str(server.getsockname()[1])))
        launch = plan_launch(
            Environment(),
            isolation,
            model=model,
            source=source if apart else None,
            variables={"OWN": "o"},
        )
        found = ask(tmp_path / "socket", launch)
    assert (found["word"], found["own"], found["leaked"]) == ("hello", "o", [])
    boxed = isolation is not Isolation.LIMITS
    assert found["network"] is not boxed
    assert found["secret"] is (isolation is not Isolation.BUBBLEWRAP)
    assert found["dir"] == (MODEL if boxed else str(model))
    assert (launch.told["source"] is not None) is apart
    if apart and boxed:
        assert launch.told["source"] == SOURCE


@pytest.mark.skipif(BEST > 0, reason="bubblewrap does not work here")
def test_an_environment_may_have_the_network(folders, tmp_path):
    model, _ = folders
    (model / "code").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        (model / "code" / "inference.py").write_text(SCRIPT.replace("SECRET", "'/x'").replace("PORT", port))
        launch = plan_launch(
            Environment(network=True), Isolation.BUBBLEWRAP, model=model, source=None, variables={"OWN": "o"}
        )
        assert ask(tmp_path / "socket", launch)["network"]


def test_the_interpreter_is_the_environments(folders):
    model, _ = folders
    launch = plan_launch(Environment(), Isolation.LIMITS, model=model, source=None, variables={})
    assert launch.command == (sys.executable, "-I", str(HOST))
    with pytest.raises(InvalidInput, match="does not work"):
        plan_launch(Environment("/no/python"), Isolation.LIMITS, model=model, source=None, variables={})
    with pytest.raises(InvalidInput, match="does not work"):
        plan_launch(Environment("/bin/true"), Isolation.LIMITS, model=model, source=None, variables={})
    with pytest.raises(InvalidInput, match="no program"):
        plan_launch(
            Environment(serve=("/no/serve",)), Isolation.LIMITS, model=model, source=None, variables={}
        )


def test_code_runs_in_what_is_wanted_or_not_at_all():
    check_isolation(Isolation.LIMITS, "best")
    check_isolation(Isolation.BUBBLEWRAP, "bubblewrap")
    with pytest.raises(Refused, match="bubblewrap"):
        check_isolation(Isolation.NAMESPACES, "bubblewrap")
    for wanted in ("best", *Isolation):
        check_wanted(wanted)
    with pytest.raises(InvalidInput, match="best, bubblewrap"):
        check_wanted("docker")
