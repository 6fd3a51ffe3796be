"""Listening sockets."""

from __future__ import annotations

import socket

import pytest

from modelport.domain.errors import Conflict, InvalidInput
from modelport.supervisor.listeners import bind_listener, listener_url


def test_port_zero_picks_a_free_one_and_the_url_says_which() -> None:
    with bind_listener("127.0.0.1", 0, setting="--port") as listener:
        port = listener.getsockname()[1]
        assert listener_url(listener) == f"http://127.0.0.1:{port}"
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass


def test_taken_port_is_a_conflict_that_names_the_flag() -> None:
    with bind_listener("127.0.0.1", 0, setting="--port") as listener:
        port = listener.getsockname()[1]
        with pytest.raises(Conflict, match=str(port)) as caught:
            bind_listener("127.0.0.1", port, setting="--port")
        assert "--port 0" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("host", "port"), [("192.0.2.1", 0), ("no-such-host.invalid", 0), ("127.0.0.1", 70000)]
)
def test_impossible_address_is_invalid_input(host: str, port: int) -> None:
    with pytest.raises(InvalidInput, match="cannot listen"):
        bind_listener(host, port, setting="--port")


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_ipv6_url_has_brackets() -> None:
    try:
        listener = bind_listener("::1", 0, setting="--port")
    except InvalidInput:
        pytest.skip("this machine has no IPv6 loopback")
    with listener:
        assert listener_url(listener).startswith("http://[::1]:")
