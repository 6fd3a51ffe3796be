"""CRC-32C and CRC-64/NVME, which the standard library lacks, by numpy: many stretches of a body at once.

A CRC is linear: the value of a whole is that of its front, moved over as many zero bytes as follow, XOR that
of its back begun at zero. So stretches are taken side by side, eight bytes a step, and then joined in pairs.

Source: Sarwate 1988 (tables), Kounavis and Berry 2005 (slicing by eight); RFC 3720 and NVM Express for the
polynomials.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]

WORD_BYTES = 8
DOUBLINGS = 5
STRETCH_BYTES = WORD_BYTES << DOUBLINGS
"""Shorter ones make more to join, longer ones fewer to take at once."""


class Crc:
    """A CRC as hashlib's objects are.

    Args:
        bits: Width: 32 or 64.
        polynomial: Reflected, without its highest term.
    """

    def __init__(self, bits: int, polynomial: int) -> None:
        self._bits = bits
        self._ones = (1 << bits) - 1
        self._maps = _maps_of(polynomial)
        self._state = self._ones

    def update(self, data: bytes, /) -> None:
        """Take more bytes in."""
        whole = len(data) // STRETCH_BYTES
        if whole:
            words = np.frombuffer(data, "<u8", whole * STRETCH_BYTES // WORD_BYTES).reshape(whole, -1)
            self._state = self._take(words)
        single = self._maps[0][-1]
        state = self._state
        for byte in data[whole * STRETCH_BYTES :]:
            state = int(single[(state ^ byte) & 0xFF]) ^ (state >> 8)
        self._state = state

    def digest(self) -> bytes:
        """Return the value, its highest byte first."""
        return (self._state ^ self._ones).to_bytes(self._bits // 8, "big")

    def _take(self, stretches: Any) -> int:
        """Return the state behind the stretches, one a row."""
        states = np.zeros(1 << (len(stretches) - 1).bit_length(), np.uint64)
        ours = states[len(states) - len(stretches) :]  # zeros before change nothing, and pairs come out even
        ours[0] = self._state
        for column in stretches.T:
            ours[:] = _move(self._maps[0], ours ^ column)
        level = DOUBLINGS
        while len(states) > 1:
            states = _move(self._maps[level], states[::2]) ^ states[1::2]
            level += 1
        return int(states[0])


@functools.lru_cache(maxsize=2)
def _maps_of(polynomial: int) -> list[Words]:
    """Return, for 8, 16, 32 … zero bytes, what they make of each value of each byte of a state."""
    table = np.arange(256, dtype=np.uint64)
    for _ in range(8):
        table = (table >> np.uint64(1)) ^ np.where(table & np.uint64(1), np.uint64(polynomial), np.uint64(0))
    tables = [table]
    for _ in range(WORD_BYTES - 1):
        tables.append(table[tables[-1] & np.uint64(0xFF)] ^ (tables[-1] >> np.uint64(8)))
    maps = [np.stack(tables[::-1])]
    for _ in range(40):  # bodies up to 8 << 40 bytes in one piece
        maps.append(_move(maps[-1], maps[-1]))
    return maps


def _move(tables: Words, states: Words) -> Words:
    """Return states moved over zero bytes, by the tables of how many."""
    moved: Words = tables[0][states & np.uint64(0xFF)]
    for at in range(1, WORD_BYTES):
        moved ^= tables[at][(states >> np.uint64(8 * at)) & np.uint64(0xFF)]
    return moved
