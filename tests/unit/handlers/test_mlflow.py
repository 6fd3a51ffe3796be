"""An MLflow folder is found, MLflow's own functions answer, and a refusal keeps its words and status."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import NamedTuple

import pytest

from modelport.handlers.contract import load_handler
from modelport.handlers.server import Request


class Response(NamedTuple):
    response: str
    status: int
    mimetype: str


class MlflowException(Exception):
    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def get_http_status_code(self) -> int:
        return 400


def invocations(data, content_type, model, input_schema):
    """Answer as MLflow's function of this name does."""
    if content_type == "text/strange":
        return Response("only some content types", 415, "text/plain")
    if data == "[]":
        raise MlflowException("no rows")
    return Response(f"{model.name} {input_schema} {data}", 200, "application/json")


@pytest.fixture(autouse=True)
def _a_small_mlflow(monkeypatch):
    """Stand in for the package, which is not installed here: `tests/e2e` runs the real one."""

    def load_model(path: str) -> SimpleNamespace:
        return SimpleNamespace(
            name=path.rpartition("/")[2], metadata=SimpleNamespace(get_input_schema=lambda: "schema")
        )

    package, pyfunc, server, exceptions = (
        ModuleType(name)
        for name in ("mlflow", "mlflow.pyfunc", "mlflow.pyfunc.scoring_server", "mlflow.exceptions")
    )
    package.pyfunc, pyfunc.load_model, pyfunc.scoring_server = pyfunc, load_model, server
    server.invocations, exceptions.MlflowException = invocations, MlflowException
    for module in (package, pyfunc, server, exceptions):
        monkeypatch.setitem(sys.modules, module.__name__, module)


def ask(folder, body=b"[1]", content_type="application/json"):
    answer = load_handler(folder / "code" / "inference.py", folder, "mlflow")
    return answer(Request("POST", "/invocations", {"content-type": content_type}, body))


@pytest.mark.parametrize("where", ["", "model"])
def test_a_folder_is_found_at_the_root_or_alone(tmp_path, where):
    folder = tmp_path / where
    folder.mkdir(exist_ok=True)
    folder.joinpath("MLmodel").touch()
    reply = ask(tmp_path)
    assert (reply.status, reply.content_type) == (200, "application/json")
    assert reply.body == f"{folder.name} schema [1]".encode()


def test_a_folder_without_a_description_is_told(tmp_path):
    with pytest.raises(ValueError, match="MLmodel"):
        ask(tmp_path)


@pytest.mark.parametrize(
    ("body", "content_type", "status", "told"),
    [(b"[]", "application/json", 400, b"no rows"), (b"1", "text/strange", 415, b"only some content types")],
)
def test_a_refusal_keeps_its_words_and_its_status(tmp_path, body, content_type, status, told):
    tmp_path.joinpath("MLmodel").touch()
    reply = ask(tmp_path, body, content_type)
    assert (reply.status, reply.body) == (status, told)
