"""A script's functions are called as AWS's toolkits call them; what it leaves out has defaults."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest

from modelport.handlers.contract import load_handler
from modelport.handlers.server import Request

LOADS = "def model_fn(model_dir):\n    return 2.0\n"


@pytest.fixture
def script(tmp_path):
    """Return what answers by a script: called with a body and headers."""

    def load(text, family="sklearn"):
        path = tmp_path / "code" / "inference.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        answer = load_handler(path, tmp_path, family)

        def ask(body=b"[[1, 2]]", path="/invocations", method="POST", **headers):
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return answer(Request(method, path, {"content-type": "application/json", **named}, body))

        return ask

    return load


def test_the_four_functions_are_called_in_turn(script):
    ask = script(
        """
def model_fn(model_dir):
    return model_dir
def input_fn(body, content_type):
    return [body, content_type]
def predict_fn(data, model):
    return [*data, model.rpartition("/")[2] != ""]
def output_fn(prediction, accept):
    return repr((prediction, accept)), "text/x-own"
"""
    )
    reply = ask(accept="text/csv")
    assert (reply.status, reply.content_type) == (200, "text/x-own")
    assert eval(reply.body) == (["[[1, 2]]", "application/json", True], "text/csv")


CONTEXTS = """
def model_fn(model_dir, context):
    return context.model_dir == model_dir and context.system_properties["model_dir"] == model_dir
def input_fn(body, content_type, context):
    return context.get_request_header(0, "X-Own")
def predict_fn(data, model, context=None):
    context.set_response_header(0, "X-Back", "b")
    return [data, model]
def output_fn(prediction, accept, context):
    return prediction
"""


def test_a_function_that_takes_one_more_argument_gets_the_context(script):
    reply = script(CONTEXTS)(x_own="a")
    assert json.loads(reply.body) == ["a", True]
    assert reply.headers == {"X-Back": "b"}


@pytest.mark.parametrize("said", ["'text'", "b'text'", "bytearray(b'text')", "('text', accept)"])
def test_what_is_returned_is_the_body_or_the_body_and_its_type(script, said):
    reply = script(f"{LOADS}def transform_fn(model, body, content_type, accept):\n    return {said}\n")(
        accept="text/plain"
    )
    assert (reply.body, reply.content_type) == (b"text", "text/plain")


def test_arrays_and_numbers_of_numpy_become_json(script):
    text = (
        "import numpy as np\n"
        + LOADS
        + "def output_fn(p, a):\n    return {'a': np.arange(2), 'b': np.float32(1)}\n"
    )
    assert json.loads(script(text + "def predict_fn(d, m):\n    return d\n")().body) == {
        "a": [0, 1],
        "b": 1.0,
    }


def test_parts_are_passed_on_as_they_come(script):
    text = LOADS + "def transform_fn(m, b, c, a):\n    return (word for word in ['one', b'two'])\n"
    assert list(script(text)().body) == [b"one", b"two"]


def test_text_reaches_input_fn_as_text_and_the_rest_as_bytes(script):
    ask = script(
        LOADS + "def input_fn(b, c):\n    return type(b).__name__\ndef predict_fn(d, m):\n    return d\n"
    )
    for kind, name in (
        ("text/csv; charset=utf-8", "str"),
        ("application/json", "str"),
        ("image/png", "bytes"),
    ):
        assert json.loads(ask(b"1", content_type=kind).body) == name


def test_without_an_accept_the_default_counts(script, monkeypatch):
    ask = script(LOADS + "def predict_fn(d, m):\n    return d * m\n")
    assert ask(accept="*/*").content_type == "application/json"
    monkeypatch.setenv("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", "text/csv")
    assert (ask().body, ask().content_type) == (b"2.0,4.0\r\n", "text/csv")


@pytest.mark.parametrize("accept", ["application/json", "text/csv", "application/x-npy"])
@pytest.mark.parametrize("kind", ["application/json", "text/csv", "application/x-npy", "application/x-npz"])
def test_every_format_comes_in_and_goes_out(script, kind, accept):
    rows = np.array([[1.5, 2.0], [3.0, 4.25]])
    packed, several = io.BytesIO(), io.BytesIO()
    np.save(packed, rows)
    np.savez(several, rows=rows)
    bodies = {
        "application/json": json.dumps(rows.tolist()).encode(),
        "text/csv": b"1.5,2.0\n3.0,4.25\n",
        "application/x-npy": packed.getvalue(),
        "application/x-npz": several.getvalue(),
    }
    reply = script(LOADS + "def predict_fn(d, m):\n    return d * m\n")(
        bodies[kind], content_type=kind, accept=accept
    )
    found = {
        "application/json": lambda: json.loads(reply.body),
        "text/csv": lambda: [
            [float(cell) for cell in line.split(",")] for line in reply.body.decode().split()
        ],
        "application/x-npy": lambda: np.load(io.BytesIO(reply.body)).tolist(),
    }[accept]()
    assert found == (rows * 2).tolist()


def test_one_row_alone_is_a_matrix_and_an_empty_cell_is_missing(script):
    ask = script(
        LOADS + "def predict_fn(d, m):\n    return [list(d.shape), str(d.dtype), bool((d != d).any())]\n"
    )
    assert json.loads(ask(b"[1, 2]").body) == [[1, 2], "float32", False]
    assert json.loads(ask(b"1,,3\n", content_type="text/csv").body) == [[1, 3], "float32", True]
    assert json.loads(ask(b"a,b\n", content_type="text/csv").body)[1].startswith("<U")


@pytest.mark.parametrize(
    ("headers", "status", "told"),
    [
        ({"content_type": "image/png"}, 415, "image/png"),
        ({"accept": "image/png"}, 406, "image/png"),
        ({"body": b"{"}, 400, "not application/json"),
        ({"body": b"no npy", "content_type": "application/x-npy"}, 400, "not application/x-npy"),
        ({"body": b"", "content_type": "application/x-npz"}, 400, "not application/x-npz"),
    ],
)
def test_what_cannot_be_read_or_written_has_its_status(script, headers, status, told):
    reply = script(LOADS + "def predict_fn(d, m):\n    return d\n")(**headers)
    assert (reply.status, told in reply.body.decode()) == (status, True)


def test_a_body_that_is_no_text_although_it_says_so_is_refused(script):
    reply = script(LOADS)(b"\xff\xfe")
    assert (reply.status, b"UTF-8" in reply.body) == (415, True)


def test_an_error_of_the_script_is_told_with_its_traceback(script, capfd):
    reply = script(LOADS + "def predict_fn(d, m):\n    raise ValueError('row 7')\n")()
    assert reply.status == 500
    assert reply.body.decode().startswith("ValueError: row 7\n\nTraceback")
    assert "row 7" in capfd.readouterr().err


def test_an_error_may_say_its_status(script):
    text = "class Mine(Exception):\n    status_code, message = 422, 'not so'\n" + LOADS
    reply = script(text + "def predict_fn(d, m):\n    raise Mine\n")()
    assert (reply.status, reply.body) == (422, b"not so")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "model_fn"),
        (
            LOADS + "def transform_fn(m, b, c, a): pass\ndef predict_fn(d, m): pass\n",
            "transform_fn and predict_fn",
        ),
        ("raise KeyError('x')", "x"),
    ],
)
def test_a_script_that_cannot_serve_says_so_at_once(script, text, told):
    with pytest.raises((ValueError, KeyError), match=told):
        script(text)


def test_a_missing_script_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"serving.py in code/"):
        load_handler(tmp_path / "code" / "serving.py", tmp_path, "sklearn")


def test_only_invocations_are_answered(script):
    ask = script(LOADS + "def execution_parameters_fn():\n    return {'MaxPayloadInMB': 6}\n")
    assert ask(path="/else").status == ask(method="GET").status == 404
    assert json.loads(ask(path="/execution-parameters", method="GET").body) == {"MaxPayloadInMB": 6}


WARMS = """
import pathlib

def model_warmup_fn(model_dir, model):
    pathlib.Path(model_dir, "warm").write_text(str(model))
"""


def test_the_usual_format_of_a_reply_is_the_frameworks(script):
    text = LOADS + "def input_fn(b, c):\n    return b\ndef output_fn(p, a):\n    return a\n"
    text += "def predict_fn(d, m):\n    return d\n"
    assert [script(text, family)().body for family in ("sklearn", "xgboost", "")] == [
        b"application/json",
        b"text/csv",
        b"application/json",
    ]


def test_warm_up_gets_the_model(script, tmp_path):
    script(LOADS + WARMS)
    assert (tmp_path / "warm").read_text() == "2.0"
