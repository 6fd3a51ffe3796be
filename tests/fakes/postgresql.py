"""A PostgreSQL server for tests: one that is given, or a throw-away one on a free port."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

VARIABLE = "MODELPORT_TEST_POSTGRESQL_URL"
DEBIAN = Path("/usr/lib/postgresql")
TIMEOUT_S = 60


@contextmanager
def postgresql_server() -> Iterator[str]:
    """Yield the URL of a server whose databases may be made and dropped; skip where there is none."""
    given = os.environ.get(VARIABLE)
    if given:
        yield given
        return
    binaries = _binaries()
    if binaries is None:
        pytest.skip(f"no PostgreSQL: set {VARIABLE}, or install the package postgresql")
    account: list[str] = []
    if os.geteuid() == 0:  # initdb refuses root
        runuser = shutil.which("runuser")
        try:
            pwd.getpwnam("postgres")
        except KeyError:
            runuser = None
        if runuser is None:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres to run it")
        account = [runuser, "-u", "postgres", "--"]
    folder = Path(tempfile.mkdtemp(prefix="modelport-pg-"))
    try:
        if account:
            shutil.chown(folder, "postgres")
        data = folder / "data"
        _run(*account, binaries / "initdb", "-D", data, "-A", "trust", "-U", "modelport", "--no-sync")
        port = _free_port()
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        control = (*account, binaries / "pg_ctl", "-D", data, "-w")
        _run(*control, "-l", folder / "log", "-o", options, "start")
        try:
            yield f"postgresql://modelport@127.0.0.1:{port}/postgres"
        finally:
            _run(*control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(*command: str | Path) -> None:
    done = subprocess.run(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd="/",
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")


def _binaries() -> Path | None:
    newest = sorted(DEBIAN.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if newest:
        return newest[-1].parent
    found = shutil.which("initdb")
    return Path(found).parent if found and shutil.which("pg_ctl") else None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
