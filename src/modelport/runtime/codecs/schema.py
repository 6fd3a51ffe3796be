"""Code generated from a signature: types that msgspec checks while it parses, and functions that pack rows.

For the flights model the record function reads

    def pack_record(r):
        return pack(codes0[r.f0], codes1[r.f1], …, nan if r.f3 is None else r.f3, …)

so that a row costs one parse, one look-up per coded feature and one pack. Whatever does not fit raises
something; the caller then takes the general path (`values.py`), which alone words errors.
"""

from __future__ import annotations

import itertools
import math
import re
import struct
import sys
import types
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, cast

import msgspec
from msgspec import Meta

from modelport.domain.signature import Signature
from modelport.runtime.cells import INT64_FLOAT_MAX, INT64_MAX, INT64_MIN, Cell, Kind, cells_of
from modelport.runtime.numerals import BOOLEANS

ESCAPED = re.compile(r'[\x00-\x1f"\\]')  # characters of a name that JSON spells in another way
FLOAT_MAX = sys.float_info.max
Pack = Callable[[Any], bytes]
PackText = Callable[[Sequence[str], Callable[[str], float], Callable[[str], int]], bytes]


class Misfit(Exception):
    """The fast path does not take this row; the general path decides."""


class Schema:
    """The fast path of one signature.

    Args:
        signature: What the model takes.
        single: Its graph takes float32: blocks of them stay as they are.

    Attributes:
        cells: The rules of each feature.
        record: msgspec type of a row sent as an object.
        row: msgspec type of a row sent as a list, of lists where one row has a shape.
        flat: msgspec type of a row sent as a flat list, whatever its shape.
        columns: msgspec type of column-oriented rows: one list per feature.
        pack: As many numbers as there are features to the row's float64 bytes.
        pack_record: A `record` to the row's float64 bytes.
        pack_row: A `row` to the row's float64 bytes.
        pack_flat: A `flat` to the row's float64 bytes.
        pack_text: Text cells in the order of the features, a reader of floats and one of integers, to
            the row's float64 bytes.
        plainly_named: No name of a feature is escaped in JSON.
        plain: Every feature is a used number, and missing values are accepted for all or none.
        nullable: With `plain`: missing values are accepted.
        lower: With `plain`: every feature takes all numbers from here
        upper: to here; some may take others too, which the general path knows.
    """

    def __init__(self, signature: Signature, *, single: bool = False) -> None:
        self.signature = signature
        self.single = single
        self.cells = cells_of(signature)
        self.names = [cell.name for cell in self.cells]
        self.width = len(self.cells)
        self.required = sum(cell.used for cell in self.cells)
        self.plainly_named = not any(ESCAPED.search(cell.name) for cell in self.cells)
        self.moments = any(cell.kind is Kind.MOMENT for cell in self.cells)
        kinds = [_json_type(cell) for cell in self.cells]
        self.record = self._struct("Record", kinds)
        self.columns = self._struct("Columns", [list_of(each) for each in kinds])
        self.pack = struct.Struct(f"<{self.width}d").pack
        self.lower, self.upper = _band(self.cells)
        self.plain = self.lower <= self.upper and _plain(self.cells)
        self.nullable = self.plain and self.cells[0].feature.missing
        self.row: Any
        self.flat: Any
        self.pack_row: Pack
        self.pack_flat: Pack
        if self.plain:
            kind = _within(self.lower, self.upper)
            kind = kind | None if self.nullable else kind
            shape = signature.row_shape or (self.width,)
            self.row, self.pack_row = _nested(kind, shape), self._pack_plain(len(shape))
            self.flat, self.pack_flat = _nested(kind, (self.width,)), self._pack_plain(1)
        else:
            self.row = self.flat = tuple[tuple(kinds)]  # type: ignore[misc]
            self.pack_row = self.pack_flat = self._generate(
                "pack_row", f"({_names(self.width)},) = r", [f"f{j}" for j in range(self.width)]
            )
        self.pack_record = self._generate("pack_record", "", [f"r.f{j}" for j in range(self.width)])
        self.pack_text = self._generate_text()

    def _struct(self, name: str, kinds: Sequence[Any]) -> Any:
        """Return a struct with field `f<j>` for feature j; columns the model does not read are optional.

        msgspec compares names as they are spelled, so it takes none that JSON escapes. A signature with
        such a name gets a type that no object fits: its objects are left to the general path.
        """
        if not self.plainly_named:
            return bool
        fields: list[tuple[str, Any] | tuple[str, Any, Any]] = [
            (f"f{j}", kind) if cell.used else (f"f{j}", kind | None, None)
            for j, (cell, kind) in enumerate(zip(self.cells, kinds, strict=True))
        ]
        return msgspec.defstruct(
            name,
            fields,
            rename={f"f{j}": cell.name for j, cell in enumerate(self.cells)},
            forbid_unknown_fields=True,
            kw_only=True,
            gc=False,
        )

    def _pack_plain(self, depth: int) -> Pack:
        """Return the packer of rows that are numbers throughout: no code to run per feature."""
        pack = self.pack
        nullable = self.nullable

        def pack_flat(row: Sequence[float | None]) -> bytes:
            try:
                return pack(*row)
            except struct.error:
                if not nullable:
                    raise
                return pack(*[math.nan if value is None else value for value in row])

        if depth == 1:
            return pack_flat

        def pack_nested(row: Sequence[Any]) -> bytes:
            flat = row
            for _ in range(depth - 1):
                flat = list(itertools.chain.from_iterable(flat))
            return pack_flat(flat)

        return pack_nested

    def _namespace(self) -> dict[str, Any]:
        names: dict[str, Any] = {
            "pack": self.pack,
            "nan": math.nan,
            "Misfit": Misfit,
            "moment": _moment,
        }
        for j, cell in enumerate(self.cells):
            names[f"codes{j}"] = cell.codes
            names[f"text{j}"] = cell.from_text
            names[f"bools{j}"] = _bools(cell)
        return names

    def _generate(self, name: str, unpack: str, sources: list[str]) -> Pack:
        values = [_json_expression(j, cell, sources[j]) for j, cell in enumerate(self.cells)]
        return cast(
            "Pack",
            _compile(name, f"def {name}(r):\n {unpack or 'pass'}\n return pack({', '.join(values)})\n", self),
        )

    def _generate_text(self) -> PackText:
        lines = [f"({_names(self.width)},) = r"]
        for j, cell in enumerate(self.cells):
            lines += _text_statements(j, cell)
        body = "\n ".join(lines)
        source = f"def pack_text(r, number, integer):\n {body}\n return pack({_names(self.width)})\n"
        return cast("PackText", _compile("pack_text", source, self))


def _compile(name: str, source: str, schema: Schema) -> Callable[..., bytes]:
    """Return the generated function. No text of a user is in the source: names are numbered."""
    names = schema._namespace()  # noqa: SLF001 - one class in two pieces
    exec(compile(source, f"<{name} generated from a signature>", "exec"), names)  # noqa: S102
    return cast("Callable[..., bytes]", names[name])


def _names(width: int) -> str:
    return ", ".join(f"f{j}" for j in range(width))


def list_of(kind: Any) -> Any:
    """Return the type of a list of values of a type made at run time."""
    return types.GenericAlias(list, (kind,))


def map_of(kind: Any) -> Any:
    """Return the type of an object whose values have a type made at run time."""
    return types.GenericAlias(dict, (str, kind))


def _nested(kind: Any, shape: tuple[int, ...]) -> Any:
    for length in reversed(shape):
        kind = Annotated[list_of(kind), Meta(min_length=length, max_length=length)]
    return kind


def _plain(cells: Sequence[Cell]) -> bool:
    """Tell whether every feature is a used number, and all or none may be missing."""
    return len({cell.feature.missing for cell in cells}) == 1 and all(
        cell.used and cell.codes is None and cell.kind is Kind.NUMBER for cell in cells
    )


def _band(cells: Sequence[Cell]) -> tuple[float, float]:
    """Return which numbers every feature takes: a scaler's overflow sets other limits for each column."""
    bounded = [cell.feature for cell in cells if cell.bounded]
    lower = max((feature.lower for feature in bounded), default=-math.inf)
    return lower, min((feature.upper for feature in bounded), default=math.inf)


def _json_type(cell: Cell) -> Any:
    """Return the msgspec type of a feature's JSON values; bounds are checked while parsing."""
    feature = cell.feature
    kind: Any
    match cell.kind:
        case Kind.NUMBER:
            kind = _number_type(cell)
        case Kind.INTEGER:
            if cell.exact:
                kind = Annotated[int, Meta(ge=INT64_MIN, le=INT64_MAX)]
            else:
                lower, upper = (feature.lower, feature.upper) if cell.bounded else (-math.inf, math.inf)
                kind = Annotated[
                    float,
                    Meta(multiple_of=1.0, ge=max(lower, -INT64_FLOAT_MAX), le=min(upper, INT64_FLOAT_MAX)),
                ]
        case Kind.BOOLEAN:
            kind = bool
        case Kind.TEXT:
            kind = str
        case Kind.MIXED:
            kind = str | bool | int | float
        case Kind.MOMENT:
            kind = str | int | float
    return kind | None if feature.missing or not cell.used else kind


def _number_type(cell: Cell) -> Any:
    if cell.codes is not None:
        return int | float if cell.exact else float
    return _within(cell.feature.lower, cell.feature.upper) if cell.bounded else float


def _within(lower: float, upper: float) -> Any:
    """Return the msgspec type of a number between bounds, which may be infinite."""
    limits: dict[str, Any] = {}
    if not math.isinf(lower):
        limits["ge"] = lower
    if not math.isinf(upper):
        limits["le"] = upper
    return Annotated[float, Meta(**limits)] if limits else float


def _json_expression(j: int, cell: Cell, source: str) -> str:
    """Return the expression that turns a parsed JSON value into its number."""
    if not cell.used:
        return f"moment({source})" if cell.kind is Kind.MOMENT else "0.0"
    if cell.codes is not None:
        return f"codes{j}[{source}]"
    return f"nan if {source} is None else {source}" if cell.feature.missing else source


def _text_statements(j: int, cell: Cell) -> list[str]:
    """Return the statements that turn text cell `f<j>` into its number.

    Infinities always leave for the general path, which knows whether they were written as such.
    """
    name, feature, codes = f"f{j}", cell.feature, cell.codes
    if not cell.used or cell.kind in {Kind.MIXED, Kind.MOMENT}:
        return [f"{name} = text{j}({name})"]
    if cell.kind is Kind.TEXT:
        return [f"{name} = codes{j}[{name}]" if "" in (codes or ()) else f"{name} = codes{j}[{name} or None]"]
    if cell.kind is Kind.BOOLEAN:
        return [f"{name} = bools{j}[{name}]"]
    if cell.exact:
        return [f"{name} = text{j}({name})"]
    lower = max(feature.lower if cell.bounded else -math.inf, -FLOAT_MAX)
    upper = min(feature.upper if cell.bounded else math.inf, FLOAT_MAX)
    if cell.kind is Kind.INTEGER:
        lower, upper = max(lower, -INT64_FLOAT_MAX), min(upper, INT64_FLOAT_MAX)
    check = [f"if not {lower!r} <= {name} <= {upper!r}: raise Misfit"]
    if cell.kind is Kind.INTEGER:
        check.append(f"if {name} % 1.0: raise Misfit")
    read = [f"{name} = number({name})", *check]
    if codes is not None:
        read.append(f"{name} = codes{j}[{name}]")
    if not feature.missing:
        return read
    absent = repr(codes[None]) if codes is not None else "nan"
    return [f"if {name}:", *[f" {line}" for line in read], f"else: {name} = {absent}"]


def _bools(cell: Cell) -> dict[str, float] | None:
    if cell.kind is not Kind.BOOLEAN or not cell.used:
        return None
    codes = cell.codes
    known = {
        text: float(value) if codes is None else codes[value]
        for text, value in BOOLEANS.items()
        if codes is None or cell.feature.unknown or value in codes
    }
    if cell.feature.missing:
        known[""] = math.nan if codes is None else codes[None]
    return known


def _moment(value: str | float | None) -> float:
    """Check an unused moment's spelling; its number is 0."""
    if isinstance(value, str):
        datetime.fromisoformat(value)
    return 0.0
