"""SageMaker's handler functions: finds them in a user's script, calls them as AWS's toolkits do.

    model_fn(model_dir)                     ─┐
    input_fn(body, content_type)             ├─ each may take one more argument, the context
    predict_fn(data, model)                  │
    output_fn(prediction, accept)            │
    transform_fn(model, body, content_type, accept)   instead of the last three
                                            ─┘

Source: sagemaker-inference-toolkit, `transformer.py`; sagemaker-scikit-learn-container and
sagemaker-xgboost-container, `serving.py`.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from .codecs import CSV, JSON, UnsupportedFormat, default_accept
from .families import Family, find_family
from .server import Reply, Request

MODULE = "inference"
DESCRIBED_MAX = 500
TEXTS = (JSON, CSV)
"""Bodies that reach `input_fn` as text; all others as bytes."""


class Context:
    """What a function that asks for it is told of the request.

    Args:
        model_dir: Folder of the model.
        headers: Of the request.
    """

    def __init__(self, model_dir: Path, headers: dict[str, str]) -> None:
        self.model_dir = str(model_dir)
        self.system_properties = {"model_dir": str(model_dir), "gpu_id": None}
        self.request_headers = headers
        self.response_headers: dict[str, str] = {}

    def get_request_header(self, _: int, name: str) -> str | None:
        """Return a header of the request, as in the toolkit's context."""
        return self.request_headers.get(name.lower())

    def set_response_header(self, _: int, name: str, value: str) -> None:
        """Set a header of the reply, as in the toolkit's context."""
        self.response_headers[name] = value


def load_handler(script: Path, model_dir: Path, family: str) -> Callable[[Request], Reply]:
    """Return what answers requests by a user's script.

    Args:
        script: Defines the functions.
        model_dir: Given to `model_fn`.
        family: Whose defaults stand for functions that it does not define.

    Raises:
        FileNotFoundError: There is no script, and the family does not serve without one.
        ValueError: It mixes `transform_fn` with the others, or defines no `model_fn` that is needed.
        Exception: Whatever the script or its `model_fn` raises.
    """
    defaults = find_family(family)
    module: Any = _import(script, defaults)
    transform = getattr(module, "transform_fn", None)
    mixed = [name for name in ("input_fn", "predict_fn", "output_fn") if hasattr(module, name)]
    if transform is not None and mixed:
        raise ValueError(f"{script.name} defines transform_fn and {', '.join(mixed)}: use one or the others")
    model = _call(getattr(module, "model_fn", defaults.model_fn), (str(model_dir),), Context(model_dir, {}))
    warm_up = getattr(module, "model_warmup_fn", None)
    if warm_up is not None:
        _call(warm_up, (str(model_dir), model), Context(model_dir, {}))
    return Handler(module, defaults, model, model_dir)


class Handler:
    """Answers requests by the functions of a script.

    Args:
        module: The script, loaded.
        family: Stands in for functions that it does not define.
        model: What `model_fn` returned.
        model_dir: Folder of the model.
    """

    def __init__(self, module: ModuleType, family: Family, model: Any, model_dir: Path) -> None:
        own = any(hasattr(module, name) for name in ("input_fn", "predict_fn", "output_fn"))
        self._transform = getattr(module, "transform_fn", None if own else family.transform_fn)
        self._input = getattr(module, "input_fn", family.input_fn)
        self._predict = getattr(module, "predict_fn", family.predict_fn)
        self._output = getattr(module, "output_fn", family.output_fn)
        self._parameters = getattr(module, "execution_parameters_fn", None)
        self._accept = family.accept
        self._model = model
        self._model_dir = model_dir

    def __call__(self, request: Request) -> Reply:
        """Return the reply; an error of the script is one with its status and its traceback."""
        context = Context(self._model_dir, request.headers)
        try:
            if request.path == "/execution-parameters" and request.method == "GET":
                return self._tell_parameters()
            if request.path != "/invocations" or request.method != "POST":
                return Reply(b"", "text/plain", 404)
            said, content_type = self._answer(request, context)
        except UnsupportedFormat as error:
            return Reply(str(error).encode("utf-8"), "text/plain", error.status)
        except Exception as error:  # noqa: BLE001 - the user's code
            traceback.print_exc()
            status = getattr(error, "status_code", 500)
            told = getattr(error, "message", None) or f"{describe(error)}\n\n{traceback.format_exc()}"
            return Reply(
                str(told).encode("utf-8", "replace"),
                "text/plain",
                status if isinstance(status, int) and 400 <= status < 600 else 500,
            )
        return Reply(_bytes(said), content_type, headers=context.response_headers)

    def _answer(self, request: Request, context: Context) -> tuple[Any, str]:
        content_type = request.headers.get("content-type", JSON)
        accept = request.headers.get("accept", "")
        if accept in ("", "*/*"):
            accept = default_accept(self._accept)
        body: Any = request.body
        if content_type.partition(";")[0].strip().lower() in TEXTS:
            body = _text(request.body, content_type)
        if self._transform is not None:
            said = _call(self._transform, (self._model, body, content_type, accept), context)
        else:
            data = _call(self._input, (body, content_type), context)
            prediction = _call(self._predict, (data, self._model), context)
            said = _call(self._output, (prediction, accept), context)
        return _split(said, accept)

    def _tell_parameters(self) -> Reply:
        if self._parameters is None:
            return Reply(b"", "text/plain", 404)
        return Reply(json.dumps(self._parameters()).encode("utf-8"))


def describe(error: BaseException) -> str:
    """Return an error as one line that is not too long."""
    text = " ".join(str(error).split())[:DESCRIBED_MAX]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _import(script: Path, family: Family) -> Any:
    """Return the script as a module; an empty one where there is none and the family needs none."""
    if not script.is_file():
        if not family.needs_script:
            return ModuleType(MODULE)
        raise FileNotFoundError(f"there is no {script.name} in {script.parent.name}/ of the archive")
    spec = importlib.util.spec_from_file_location(script.stem, script)
    assert spec is not None and spec.loader is not None  # noqa: S101, PT018 - a .py file has both
    module = importlib.util.module_from_spec(spec)
    sys.modules[script.stem] = module  # what it defines may have to be found by its name, as by pickle
    spec.loader.exec_module(module)
    return module


def _call(function: Callable[..., Any], arguments: tuple[Any, ...], context: Context) -> Any:
    """Call a function, with the context where it takes one more argument."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # not written in Python
        return function(*arguments)
    positional = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    needed = [one for one in positional if one.default is one.empty]
    named = any(one.name == "context" for one in parameters)
    if len(needed) == len(arguments) + 1 or (named and len(positional) > len(arguments)):
        return function(*arguments, context)
    return function(*arguments)


def _text(body: bytes, content_type: str) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnsupportedFormat(f"a body of {content_type!r} is no UTF-8: {error}", 415) from error


def _split(said: Any, accept: str) -> tuple[Any, str]:
    """Return body and media type of what `output_fn` or `transform_fn` returned: the body alone, or both."""
    if isinstance(said, tuple) and len(said) == 2 and isinstance(said[1], str):
        return said[0], said[1]
    body = getattr(said, "response", None)  # the toolkits' `worker.Response`
    if body is not None and hasattr(said, "mimetype"):
        return body, str(said.mimetype or accept)
    return said, accept


def _bytes(said: Any) -> Any:
    if isinstance(said, (bytes, bytearray, memoryview)):
        return bytes(said)
    if isinstance(said, str):
        return said.encode("utf-8")
    if hasattr(said, "__next__"):  # its parts, as they come
        return _parts(said)
    if said is None:
        return b""
    return json.dumps(said, default=_plain).encode("utf-8")


def _parts(said: Iterator[Any]) -> Iterator[bytes]:
    for part in said:
        yield part.encode("utf-8") if isinstance(part, str) else bytes(part)


def _plain(value: Any) -> Any:
    """Return what JSON knows of an array or a number of np."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON; return bytes or text from output_fn")
