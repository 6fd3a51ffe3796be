"""Tokens: what a file grants, and that every mistake closes the door."""

import hashlib
import os

import pytest

from modelport.access.grants import RECHECK_S
from modelport.access.principals import LOCAL, Callers, check_bind, check_files
from modelport.access.scopes import GRANTABLE, Scope, covers, parse_scopes
from modelport.access.tokens import TokenFile
from modelport.domain.errors import Forbidden, InvalidInput, Refused, Unauthenticated


class Hands:
    """A clock whose hands the test turns."""

    def __init__(self):
        self.at = 100.0

    def monotonic(self):
        return self.at


def authenticate(header, tokens):
    return Callers(Hands(), tokens).by_token(header)


def line(name, scopes, token):
    return f"{name} {scopes} {hashlib.sha256(token.encode()).hexdigest()}\n"


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "tokens"
    path.write_text("# people\n\n" + line("ann", "admin", "a-secret") + line("app", "endpoints:invoke", "b"))
    path.chmod(0o600)
    return path


def test_a_known_token_names_its_principal(path):
    tokens = TokenFile(path, Hands())
    assert authenticate("Bearer a-secret", tokens).name == "ann"
    app = authenticate("bearer b", tokens)
    app.require(Scope.ENDPOINTS_INVOKE)
    with pytest.raises(Forbidden, match="registry:write"):
        app.require(Scope.REGISTRY_WRITE)


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Basic a-secret", "Bearer wrong", "Bearer ünï"]
)
def test_anything_else_is_unauthenticated(path, header):
    with pytest.raises(Unauthenticated):
        authenticate(header, TokenFile(path, Hands()))


def test_without_tokens_everybody_is_local():
    assert authenticate(None, None) is LOCAL


def test_a_changed_file_counts_within_its_time(path):
    clock = Hands()
    tokens = TokenFile(path, clock)
    path.write_text(line("eve", "admin", "e"))
    assert authenticate("Bearer a-secret", tokens).name == "ann"
    clock.at += RECHECK_S
    with pytest.raises(Unauthenticated):
        authenticate("Bearer a-secret", tokens)
    assert authenticate("Bearer e", tokens).name == "eve"


@pytest.mark.parametrize("harm", ["remove", "open", "garbage"])
def test_a_file_that_goes_bad_grants_nothing(path, harm):
    clock = Hands()
    tokens = TokenFile(path, clock)
    if harm == "remove":
        path.unlink()
    elif harm == "open":
        path.chmod(0o666)
    else:
        path.write_bytes(b"\xff\xfe")
    clock.at += RECHECK_S
    with pytest.raises(Unauthenticated):
        authenticate("Bearer a-secret", tokens)
    assert tokens.problems
    if harm == "open":
        path.chmod(0o600)
        clock.at += RECHECK_S
        assert authenticate("Bearer a-secret", tokens).name == "ann"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "# nothing\n",
        "ann admin\n",
        "ann admin xyz\n",
        line("ann", "root", "t"),
        line("a/b", "admin", "t"),
    ],
)
def test_a_server_does_not_start_on_a_bad_file(tmp_path, content):
    path = tmp_path / "tokens"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(InvalidInput, match="token file"):
        TokenFile(path, Hands())


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(InvalidInput, match="No such file"):
        TokenFile(tmp_path / "none", Hands())


def test_problems_name_their_line(path):
    with path.open("a") as file:
        file.write("oops\n")
    with pytest.raises(InvalidInput, match="line 5:"):
        TokenFile(path, Hands())


def test_scopes_cover_what_they_say():
    assert all(covers(frozenset({Scope.ADMIN}), scope) for scope in Scope)
    assert all(covers(frozenset({scope}), Scope.PUBLIC) for scope in Scope)
    assert covers(frozenset({Scope.REGISTRY_WRITE}), Scope.REGISTRY_READ)
    assert not covers(frozenset({Scope.REGISTRY_READ}), Scope.REGISTRY_WRITE)
    assert not covers(frozenset({Scope.ENDPOINTS_INVOKE}), Scope.ENDPOINTS_READ)
    assert parse_scopes(",".join(GRANTABLE)) == frozenset(GRANTABLE)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "models.example", ""])
def test_other_machines_need_tokens(host):
    with pytest.raises(Refused, match="no tokens"):
        check_bind(host, tokens_configured=False)
    check_bind(host, tokens_configured=True)


def test_keys_without_tokens_would_lock_one_door_of_two():
    with pytest.raises(Refused, match="no tokens"):
        check_files(tokens_configured=False, keys_configured=True)
    check_files(tokens_configured=True, keys_configured=True)
    check_files(tokens_configured=False, keys_configured=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_loopback_does_not(host):
    check_bind(host, tokens_configured=False)


@pytest.mark.skipif(not hasattr(os, "fchmod"), reason="needs POSIX modes")
def test_a_file_others_can_write_is_refused_at_start(path):
    path.chmod(0o620)
    with pytest.raises(InvalidInput, match="writable by others"):
        TokenFile(path, Hands())
