"""The process: a gRPC server on its own event loop, until it is asked to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

import grpc
import uvloop

from modelport.dataplane.rpc.link import Link
from modelport.dataplane.rpc.service import InferenceService
from modelport.domain.errors import Conflict
from modelport.settings import Settings


def serve(settings: Settings, address: str, *, on_ready: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT, then let open calls finish.

    Args:
        settings: All of them.
        address: `host:port` of numbers, held by the supervisor.
        on_ready: Called when calls are accepted.

    Raises:
        Conflict: The address cannot be listened at.
    """
    uvloop.run(_serve(settings, address, on_ready))


async def _serve(settings: Settings, address: str, on_ready: Callable[[], None]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    link = Link(settings.layout.inference_socket, idle_s=settings.idle_timeout_s / 2)
    server = grpc.aio.server(
        maximum_concurrent_rpcs=settings.grpc_calls_max,
        options=[
            ("grpc.so_reuseport", 1),  # beside the supervisor's socket, which only holds the port
            ("grpc.max_receive_message_length", settings.body_bytes_max),
            ("grpc.max_send_message_length", -1),
            ("grpc.max_metadata_size", settings.header_bytes_max),
        ],
    )
    server.add_generic_rpc_handlers((InferenceService(link).handlers(),))
    try:
        server.add_insecure_port(address)
    except RuntimeError as error:
        raise Conflict(f"cannot listen for gRPC at {address}: {error}") from error
    await server.start()
    on_ready()
    await stop.wait()
    await server.stop(settings.drain_timeout_s)
    link.close()
