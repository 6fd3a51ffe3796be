"""Unix sockets at short and long paths."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from modelport.wire import sockets


@pytest.mark.parametrize("depth", [0, 3])
def test_client_reaches_listener_at_any_path_length(tmp_path: Path, depth: int) -> None:
    folder = tmp_path.joinpath(*["a-rather-long-folder-name-" * 3] * depth)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "feed.sock"
    with sockets.listen(path) as listener, sockets.connect(path) as client:
        server, _ = listener.accept()
        with server:
            assert sockets.same_user(server)
            client.setblocking(True)
            server.sendall(b"hello")
            assert client.recv(5) == b"hello"
    mode = (folder / "feed.sock").stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


def test_listener_replaces_the_socket_of_a_dead_process(tmp_path: Path) -> None:
    path = tmp_path / "feed.sock"
    sockets.listen(path).close()
    with pytest.raises(ConnectionRefusedError):
        sockets.connect(path)
    with sockets.listen(path), sockets.connect(path):
        pass
    assert [item.name for item in tmp_path.iterdir()] == ["feed.sock"]


def test_connect_says_when_there_is_no_socket(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        sockets.connect(tmp_path / "absent.sock")
