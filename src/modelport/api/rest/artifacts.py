"""Artifacts: bytes by digest, streamed both ways."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Annotated

import anyio.from_thread
import anyio.to_thread
import msgspec
from fastapi import APIRouter, Header, Request
from fastapi.responses import FileResponse, Response

from modelport.access.principals import Principal
from modelport.access.scopes import Scope
from modelport.api.callers import may
from modelport.api.platform import Here
from modelport.api.receiving import read_pieces
from modelport.api.rest.bodies import answer
from modelport.api.rest.schemas import serves
from modelport.domain.errors import NotFound

router = APIRouter(prefix="/api/v1", tags=["artifacts"])
PIECE_BYTES = 1 << 20
"""Pieces are gathered to this size before they cross into the writing thread."""


class Stored(msgspec.Struct, frozen=True):
    """What was stored: its SHA-256, and its size in bytes."""

    digest: str
    bytes: int


@router.post("/artifacts", **serves(Stored, status=201))
async def upload(
    request: Request,
    platform: Here,
    _: Annotated[Principal, may(Scope.REGISTRY_WRITE)],
    x_content_sha256: Annotated[str | None, Header()] = None,
) -> Response:
    """Store the body; nothing is kept when it is not what X-Content-SHA256 says."""
    settings = platform.settings
    pieces = _gathered(read_pieces(request, settings.artifact_bytes_max, settings.body_timeout_s))
    size = 0

    def crossing() -> Iterator[bytes]:
        nonlocal size
        while (piece := anyio.from_thread.run(anext, pieces, None)) is not None:
            size += len(piece)
            yield piece

    def store() -> str:
        return platform.artifacts.put(crossing(), expected=x_content_sha256)

    digest = await anyio.to_thread.run_sync(store)
    return answer(Stored(digest, size), status=201)


@router.head("/artifacts/{digest}", **serves(None))
def exists(platform: Here, _: Annotated[Principal, may(Scope.REGISTRY_READ)], digest: str) -> Response:
    """Tell whether there is such an artifact."""
    if not platform.artifacts.has(digest):
        raise NotFound(f"no artifact {digest[:12]}…")
    return Response()


@router.get("/artifacts/{digest}", **serves(bytes))
def download(platform: Here, _: Annotated[Principal, may(Scope.REGISTRY_READ)], digest: str) -> Response:
    """Return an artifact's bytes, after they were verified."""
    return FileResponse(
        platform.artifacts.path(digest),
        media_type="application/octet-stream",
        headers={"X-Content-SHA256": digest},
    )


async def _gathered(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    waiting = bytearray()
    async for piece in pieces:
        waiting += piece
        if len(waiting) >= PIECE_BYTES:
            yield bytes(waiting)
            waiting.clear()
    if waiting:
        yield bytes(waiting)
