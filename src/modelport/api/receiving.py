"""Bodies as they arrive, within limits of size and patience: the same at every door."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.requests import Request

from modelport.domain.errors import InvalidInput, PayloadTooLarge


async def read_pieces(request: Request, bytes_max: int, pause_s: float) -> AsyncIterator[bytes]:
    """Yield a body as it arrives.

    Args:
        request: Whose.
        bytes_max: Largest accepted size.
        pause_s: Seconds the client may pause.

    Raises:
        PayloadTooLarge: There are more than `bytes_max` bytes; told before they are read where possible.
        InvalidInput: The client paused for longer.
    """
    declared = request.headers.get("content-length", "")
    size = int(declared) if declared.isdecimal() else 0
    received = 0
    stream = request.stream()
    while size <= bytes_max and received <= bytes_max:
        try:
            piece = await asyncio.wait_for(anext(stream, None), pause_s)
        except TimeoutError:
            raise InvalidInput(
                f"the body paused for {pause_s:g} s after {received} bytes", hint="send it again"
            ) from None
        if piece is None:
            return
        received += len(piece)
        yield piece
    raise PayloadTooLarge(
        f"the body has {max(size, received)} bytes or more, at most {bytes_max} are allowed",
        hint="send less at once, or raise the setting",
    )
