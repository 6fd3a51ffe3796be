"""From the rules of features to the tables that the kernel reads by."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from functools import cache

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelport.runtime.cells import INT64_FLOAT_MAX, UNUSED, Cell, Unfit
from modelport.runtime.cells import Kind as CellKind
from modelport.runtime.json_rows.layout import (
    FIVE_MAX,
    FIVE_MIN,
    HASH_START,
    HASH_TIMES,
    NUMBER_TIMES,
    TEN_MAX,
    WIDTH_MAX,
    Entry,
    Feature,
    Kind,
    Plan,
)

KINDS = {
    CellKind.NUMBER: Kind.NUMBER,
    CellKind.INTEGER: Kind.WHOLE,
    CellKind.TEXT: Kind.TEXT,
    CellKind.BOOLEAN: Kind.BOOLEAN,
}
BITS = (1 << 64) - 1
WORD = 8
SPARSE = 2  # places of a table for each entry
A_NUMBER = 1  # in the place of a text's address
NEVER = math.nan  # the code of what is declined


class Tables:
    """The plans of one model, for rows as objects and as lists.

    Args:
        cells: The rules of each feature.

    Raises:
        ValueError: A feature has rules that the kernel does not know, or there are too many.
    """

    def __init__(self, cells: Sequence[Cell]) -> None:
        if not 0 < len(cells) <= WIDTH_MAX or any(cell.kind not in KINDS or cell.exact for cell in cells):
            raise ValueError("the kernel for JSON rows does not know these features")
        self._held: list[object] = []
        features = np.zeros((len(cells), Feature.SIZE), np.int64)
        for record, cell in zip(features, cells, strict=True):
            for field, number in self._integers(cell).items():
                record[field] = number
            for field, value in _numbers(cell).items():
                record.view(np.float64)[field] = value
        tens, fives = _powers()
        self._held += [features, tens, fives]
        self.keyed, self.listed = (
            self._plan(
                {
                    Plan.WIDTH: len(cells),
                    Plan.KEYED: keyed,
                    Plan.FEATURES: features.ctypes.data,
                    Plan.TENS: tens.ctypes.data,
                    Plan.FIVES: fives.ctypes.data,
                }
            )
            for keyed in (1, 0)
        )

    def _plan(self, places: dict[Plan, int]) -> int:
        plan = np.zeros(len(Plan), np.int64)
        for place, value in places.items():
            plan[place] = value
        self._held.append(plan)
        return int(plan.ctypes.data)

    def _integers(self, cell: Cell) -> dict[Feature, int]:
        name = msgspec.json.encode(cell.name)
        last = (len(name) - 1) // WORD * WORD
        table, mask = self._table(cell)
        return {
            Feature.KIND: KINDS[cell.kind],
            Feature.NAME: self._address(name),
            Feature.NAME_BYTES: len(name),
            Feature.NAME_LAST: last,
            Feature.NAME_MASK: int.from_bytes(
                b"\xff" * (len(name) - last), "little", signed=len(name) - last == WORD
            ),
            Feature.NULLABLE: cell.feature.missing or not cell.used,
            Feature.CODED: cell.codes is not None or not cell.used,
            Feature.TABLE: table,
            Feature.MASK: mask,
        }

    def _table(self, cell: Cell) -> tuple[int, int]:
        """Return the address of a table of the cell's codes, and what its places are masked with."""
        entries = list(_entries(cell, self._address))
        size = 1 << (SPARSE * len(entries)).bit_length()
        table = np.zeros((size, Entry.SIZE), np.int64)
        for hashed, key, text, length, code in entries:
            place = (hashed ^ hashed >> 32) & (size - 1)
            while table[place, Entry.TEXT]:
                place = (place + 1) & (size - 1)
            table[place, :3] = np.array([key], np.uint64).view(np.int64)[0], text, length
            table[place].view(np.float64)[Entry.CODE] = code
        self._held.append(table)
        return int(table.ctypes.data), size - 1

    def _address(self, text: bytes) -> int:
        held = np.frombuffer(text.ljust(-(-len(text) // WORD) * WORD, b"\0") or bytes(WORD), np.uint8)
        self._held.append(held)
        return int(held.ctypes.data)


def _numbers(cell: Cell) -> dict[Feature, float]:
    """Return the numbers of a feature's record."""
    feature = cell.feature
    lower, upper = (feature.lower, feature.upper) if cell.used else (-math.inf, math.inf)
    if cell.kind is CellKind.INTEGER:
        lower, upper = max(lower, -INT64_FLOAT_MAX), min(upper, INT64_FLOAT_MAX)
    unknown = float(feature.unknown_code) if feature.unknown else NEVER
    return {
        Feature.MISSING: _code(lambda: cell.from_json(None)),
        Feature.LOWER: lower,
        Feature.UPPER: upper,
        Feature.UNKNOWN: unknown if cell.used else UNUSED,
        Feature.TRUE: _code(lambda: cell.from_json(True)),
        Feature.FALSE: _code(lambda: cell.from_json(False)),
    }


def _code(find: Callable[[], float]) -> float:
    try:
        return find()
    except Unfit:
        return NEVER


def _entries(cell: Cell, address_of: Callable[[bytes], int]) -> list[tuple[int, int, int, int, float]]:
    """Return hash, key, address and length of the text, and code of each value that has one."""
    entries = []
    for value, code in (cell.codes or {}).items():
        if isinstance(value, str):
            spelled = msgspec.json.encode(value)[1:-1]
            if b"\\" not in spelled:  # else it never stands in a text that the kernel takes
                hashed = hash_text(spelled)
                entries.append((hashed, hashed, address_of(spelled), len(spelled), code))
        elif value is not None and not isinstance(value, bool):
            (bits,) = struct.unpack("<Q", struct.pack("<d", value))
            entries.append((bits * NUMBER_TIMES & BITS, bits, A_NUMBER, 0, code))
    return entries


def hash_text(text: bytes) -> int:
    """Return what the kernel makes of a text: FNV-1a, 64 bits."""
    hashed = HASH_START
    for byte in text:
        hashed = (hashed ^ byte) * HASH_TIMES & BITS
    return hashed


@cache
def _powers() -> tuple[NDArray[np.float64], NDArray[np.uint64]]:
    """Return the powers of ten and of five; the latter in the upper bits of 128, as Lemire's code has them.

    Source: https://github.com/fastfloat/fast_float/blob/main/script/table_generation.py
    """
    tens = np.array([float(10**power) for power in range(TEN_MAX + 1)])
    fives = np.zeros((FIVE_MAX - FIVE_MIN + 1, 2), np.uint64)
    for row, power in zip(fives, range(FIVE_MIN, FIVE_MAX + 1), strict=True):
        five = 5 ** abs(power)
        if power < 0:
            bits = (five - 1).bit_length()
            scale = bits + 127 if power >= -27 else 2 * bits + 128
            five = (1 << scale) // five + 1
        length = five.bit_length()
        five = five << 128 - length if length < 128 else five >> length - 128
        row[:] = five >> 64, five & BITS
    return tens, fives
