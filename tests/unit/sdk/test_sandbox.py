"""The sandbox is tried on code that wants out: from a pickle, as an attacker would bring it."""

import bz2
import gzip
import lzma
import os
import pickle
import socket
import textwrap
import zlib
from pathlib import Path

import msgspec
import numpy as np
import pytest

from modelport.domain.errors import InvalidInput, ModelportError, Refused, TimedOut
from modelport.engines.isolation import Isolation, find_isolation
from modelport.sdk.model_files import MODULE, bundle_from_file, file_kind
from modelport.sdk.sandbox import Limits, read_out, run_sandboxed
from modelport.sdk.sandboxed import TASK, Task

BEST = find_isolation()
CONFINED = pytest.mark.skipif(BEST is Isolation.LIMITS, reason="neither bubblewrap nor unshare works here")
BUBBLEWRAP = pytest.mark.skipif(BEST is not Isolation.BUBBLEWRAP, reason="bubblewrap does not work here")
EXAMPLE = np.zeros((3, 2))


class Payload:
    """Runs a statement when it is unpickled."""

    def __init__(self, statement: str) -> None:
        self.statement = statement

    def __reduce__(self):
        return exec, (self.statement,)


def evil(tmp_path: Path, statement: str) -> Path:
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(Payload(textwrap.dedent(statement))))
    return path


@pytest.mark.parametrize(
    "pack",
    [bytes, gzip.compress, bz2.compress, lzma.compress, zlib.compress],
    ids=["plain", "gzip", "bz2", "xz", "zlib"],
)
@pytest.mark.parametrize("suffix", [".pkl", ".joblib", ".bin"])
def test_without_trust_a_pickle_is_refused_and_never_run(tmp_path, pack, suffix):
    witness = tmp_path / "witness"
    path = tmp_path / f"model{suffix}"
    path.write_bytes(pack(pickle.dumps(Payload(f"open({str(witness)!r}, 'w')"))))
    with pytest.raises(Refused, match="pickle") as caught:
        bundle_from_file(path, EXAMPLE)
    assert "--trust" in caught.value.hint
    assert not witness.exists()


@CONFINED
@pytest.mark.processes
def test_with_trust_a_payload_cannot_speak_to_the_network(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        port = listener.getsockname()[1]
        path = evil(tmp_path, f"import socket; socket.create_connection(('127.0.0.1', {port}), 2)")
        with pytest.raises(InvalidInput, match="cannot be loaded"):
            bundle_from_file(path, EXAMPLE, trust=True)
        with pytest.raises(TimeoutError):
            listener.accept()


@BUBBLEWRAP
@pytest.mark.processes
def test_with_trust_a_payload_reads_and_writes_nothing_of_the_user(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    path = evil(
        tmp_path,
        f"""
        import pathlib
        for place in ({str(tmp_path)!r}, {str(Path.home())!r}):
            try:
                (pathlib.Path(place) / "modelport-witness").write_text("here")
            except OSError:
                pass
        raise RuntimeError(pathlib.Path({str(secret)!r}).read_text())
        """,
    )
    with pytest.raises(InvalidInput, match="FileNotFoundError"):
        bundle_from_file(path, EXAMPLE, trust=True)
    assert not (tmp_path / "modelport-witness").exists()
    assert not (Path.home() / "modelport-witness").exists()


@pytest.mark.processes
def test_a_payload_that_ends_its_process_is_told_so(tmp_path):
    path = evil(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(ModelportError, match="ended with"):
        bundle_from_file(path, EXAMPLE, trust=True)


@pytest.mark.processes
def test_a_pickle_of_something_else_is_explained(tmp_path):
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps({"model": 1}))
    with pytest.raises(InvalidInput, match="holds a dict"):
        bundle_from_file(path, EXAMPLE, trust=True)


@pytest.mark.processes
def test_a_payload_that_never_ends_is_ended(tmp_path):
    inbox, outbox = tmp_path / "in", tmp_path / "out"
    inbox.mkdir()
    outbox.mkdir()
    task = Task(str(evil(tmp_path, "while True: pass")))
    (inbox / TASK).write_bytes(msgspec.json.encode(task))
    with pytest.raises(TimedOut, match="longer than 1 s"):
        run_sandboxed(MODULE, inbox, outbox, isolation=Isolation.LIMITS, limits=Limits(wall_s=0.6))
    assert not list(outbox.iterdir())


@pytest.mark.parametrize("trick", ["link", "hardlink", "folder", "pipe"])
def test_only_plain_files_come_out(tmp_path, trick):
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    outbox = tmp_path / "out"
    outbox.mkdir()
    {
        "link": lambda place: place.symlink_to(secret),
        "hardlink": lambda place: place.hardlink_to(secret),
        "folder": lambda place: place.mkdir(),
        "pipe": os.mkfifo,
    }[trick](outbox / "proof.json")
    descriptor = os.open(outbox, os.O_RDONLY)
    try:
        with pytest.raises(InvalidInput, match="no file"):
            read_out(descriptor, "proof.json", 100)
        assert read_out(descriptor, "absent", 100) is None
        (outbox / "large").write_bytes(b"x" * 101)
        with pytest.raises(InvalidInput, match="larger than 100 bytes"):
            read_out(descriptor, "large", 100)
    finally:
        os.close(descriptor)


def test_each_isolation_says_what_it_keeps_out():
    assert "no network" in Isolation.BUBBLEWRAP.meaning
    assert "no network" in Isolation.NAMESPACES.meaning
    assert "limits" in Isolation.LIMITS.meaning


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04nothing"])
def test_other_files_are_no_models(tmp_path, content):
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match="no model file"):
        file_kind(path)
