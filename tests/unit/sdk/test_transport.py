"""One server address: its answers, its errors, and what is tried again."""

import httpx
import pytest

from fakes.control import URL, ScriptedControl, TurnedClock, problem
from modelport.domain import errors
from modelport.domain.errors import InvalidInput, ModelportError, TimedOut, Unavailable, Unreachable
from modelport.sdk.transport import CONNECT_PAUSES_S, Transport, quote


def transport(script, **options):
    dock = ScriptedControl(script)
    return Transport(URL, dock=dock, clock=TurnedClock(), **options), dock


def all_errors(kind=ModelportError):
    yield kind
    for below in kind.__subclasses__():
        yield from all_errors(below)


@pytest.mark.parametrize("kind", list(all_errors()), ids=lambda kind: kind.code)
def test_a_problem_becomes_the_error_it_was(kind):
    door, _ = transport({"GET /x": problem(400, kind.code, "what", hint="then")})
    with pytest.raises(ModelportError) as caught:
        door.ask("GET", "/x")
    assert type(caught.value) is kind
    assert (caught.value.message, caught.value.hint) == ("what", "then")


def test_a_position_survives():
    door, _ = transport({"POST /x": problem(400, "invalid_input", "bad", row=3, feature="f")})
    with pytest.raises(InvalidInput) as caught:
        door.ask("POST", "/x", {})
    assert (caught.value.row, caught.value.feature) == (3, "f")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.InvalidInput),
        (401, errors.Unauthenticated),
        (403, errors.Forbidden),
        (404, errors.NotFound),
        (409, errors.Conflict),
        (413, errors.PayloadTooLarge),
        (424, errors.ModelFailed),
        (500, errors.ModelportError),
    ],
)
@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'{"Message": "found x"}'])
def test_an_answer_without_a_code_is_read_by_its_status(status, kind, body):
    door, _ = transport({"GET /x": httpx.Response(status, content=body)})
    with pytest.raises(kind) as caught:
        door.ask("GET", "/x")
    assert type(caught.value) is kind
    assert caught.value.message == "found x" if b"Message" in body else str(status) in caught.value.message


def test_busy_says_when_to_come_back():
    answer = httpx.Response(503, json={"Message": "overloaded"}, headers={"Retry-After": "7"})
    door, _ = transport({"GET /x": answer})
    with pytest.raises(Unavailable) as caught:
        door.ask("GET", "/x")
    assert caught.value.retry_after_s == 7


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_connection_that_cannot_be_made_is_tried_again(method):
    refused = httpx.ConnectError("refused")
    door, dock = transport({f"{method} /x": [refused, refused, {"ok": True}]})
    assert door.ask(method, "/x") == {"ok": True}
    assert len(dock.seen) == 3


def test_in_the_end_nobody_answers():
    door, dock = transport({"POST /x": httpx.ConnectError("refused")})
    with pytest.raises(Unreachable, match=URL) as caught:
        door.ask("POST", "/x", {})
    assert "modelport up" in caught.value.hint
    assert len(dock.seen) == len(CONNECT_PAUSES_S) + 1


@pytest.mark.parametrize("broke", [httpx.ReadError("reset"), httpx.RemoteProtocolError("closed")])
def test_what_may_have_happened_is_not_done_twice(broke):
    door, dock = transport({"POST /x": [broke, {}], "GET /x": [broke, {"ok": True}]})
    with pytest.raises(Unreachable, match="may have been carried out"):
        door.ask("POST", "/x", {})
    assert len(dock.seen) == 1
    assert door.ask("GET", "/x") == {"ok": True}


def test_silence_is_a_timeout():
    door, _ = transport({"GET /x": httpx.ReadTimeout("silence")})
    with pytest.raises(TimedOut):
        door.ask("GET", "/x")


def test_the_token_is_shown_and_none_is_not():
    door, dock = transport({"GET /x": {}}, token="mp_secret")
    door.ask("GET", "/x")
    assert dock.seen[0].headers["authorization"] == "Bearer mp_secret"
    door, dock = transport({"GET /x": {}})
    door.ask("GET", "/x")
    assert "authorization" not in dock.seen[0].headers


@pytest.mark.parametrize("url", ["", "8090", "localhost:8090", "ftp://x", "http://"])
def test_an_address_that_is_none_is_said(url):
    with pytest.raises(InvalidInput, match="URL of a server"):
        Transport(url)


def test_a_name_is_one_component():
    assert quote("a/../b?c#d") == "a%2F..%2Fb%3Fc%23d"
