"""The process that answers predictions over gRPC."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from modelport.bootstrap.home import saved_settings
from modelport.bootstrap.supervised import announce_ready, tether
from modelport.domain.errors import InvalidInput

NEEDED = ("grpc", "google.protobuf")


def run(home: Path, address: str) -> int:
    """Serve until asked to stop.

    Args:
        home: The platform's.
        address: `host:port` of numbers, held by the supervisor.
    """
    from modelport.dataplane.rpc.server import serve  # what it needs is optional

    tether()
    serve(saved_settings(home), address, on_ready=announce_ready)
    return 0


def check_installed() -> None:
    """Find out whether this process can run here, without loading what it needs.

    Raises:
        InvalidInput: Something is not installed.
    """
    missing = [name for name in NEEDED if not _is_installed(name)]
    if missing:
        raise InvalidInput(
            f"gRPC was asked for, but {' and '.join(missing)} cannot be imported",
            hint='pip install "modelport[grpc]", or start without --grpc-port',
        )


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # not even the package around it
        return False
