"""`application/json`: every form of rows that clients send.

    {"instances": rows}                       KServe, Vertex AI, our main form
    {"inputs": {"a": [...], "b": [...]}}      MLflow, column-oriented; also {"inputs": rows}
    {"dataframe_records": [{...}]}            MLflow
    {"dataframe_split": {"columns": [...], "data": [[...]]}}
    rows                                      a bare list
    {"a": 1, "b": 2}                          one object

where `rows` is a list of objects by feature name, or of lists in the order of the features.

A missing value is `null`. NaN and Infinity are not JSON. A name that stands twice in an object is refused
where rows are objects: which of the two was meant cannot be known.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Literal, cast

import msgspec
import numpy as np

from modelport.domain.errors import InvalidInput
from modelport.runtime.codecs.arrays import fits
from modelport.runtime.codecs.large_json import LARGE_BYTES, SIMDJSON
from modelport.runtime.codecs.schema import Schema, list_of, map_of
from modelport.runtime.codecs.strict_json import parse_value, refuse_doubled
from modelport.runtime.codecs.values import GeneralReader, refuse_lengthy, refuse_many_values
from modelport.runtime.json_rows.reader import RowsReader
from modelport.runtime.rows import FLOAT64, Rows
from modelport.runtime.wording import found, located

Wrapper = Literal["instances", "inputs", "dataframe_split", "dataframe_records"]
WRAPPERS = ("instances", "inputs", "dataframe_split", "dataframe_records")
PARAMETERS = ("parameters", "params")  # of KServe, Vertex AI, MLflow: accepted where empty
HEAD_BYTES = 17  # enough for `{"instances": [[[`
HEADS_MAX = 64
SHAPE = re.compile(
    rb"\s*(?:(?P<bare>\[)\s*(?P<first>[\[{])"
    rb'|\{\s*"(?P<wrapper>instances|inputs|dataframe_records|dataframe_split)"\s*:\s*(?P<open>[\[{])\s*'
    rb"(?P<inner>[\[{]?))"
)
HEAD, WRAPPED = rb"[ \t\n\r]*%b\[", rb'\{[ \t\n\r]*"%b"[ \t\n\r]*:[ \t\n\r]*'
MANY_BYTES = 2 << 10  # smaller bodies are read as fast without the kernel
DEEPER = re.compile(rb"\s*\[")
BOMB_CHECK_BYTES = 1 << 20  # larger bodies that fail are not parsed a second time when they are all brackets
BRACKET_SHARE_MAX = 1 / 8
ROW = re.compile(r"\[([0-9]{1,18})\]")  # in the path of a parser's error
COLON = ord(":")

Fast = Callable[[bytes], Rows]


class _General(Exception):
    """The fast path leaves this body to the general one."""


class JsonDecoder:
    """Reads JSON bodies.

    Args:
        schema: The model's generated fast path.
        compiled: Reads many plain rows; None where there is no kernel for these features.
    """

    def __init__(self, schema: Schema, compiled: RowsReader | None = None) -> None:
        self._schema = schema
        self._compiled = compiled
        self._reader = GeneralReader(schema.cells, schema.signature.row_shape)
        self._any = msgspec.json.Decoder().decode
        self._made: dict[tuple[str, str], Fast] = {}
        self._heads: dict[bytes, Fast] = {}
        self._colon: bytes | int = b'":' if schema.moments else COLON

    def __call__(self, body: bytes) -> Rows:
        """Return the body's rows.

        Raises:
            PayloadTooLarge: It has more than ten million values.
            InvalidInput: The body is not JSON of a known form, or a row does not fit.
        """
        refuse_many_values(body)
        try:
            return self._read_fast(body)
        except Exception:  # noqa: BLE001 - whatever it was, the general path says what is wrong
            return self._read(body)

    def in_passing(self, body: bytes) -> Rows:
        """Return the body's rows, unless it is large and takes the general path."""
        try:  # as `_read_fast`, written out because it carries most traffic
            fast = self._heads.get(body[:HEAD_BYTES])
            return fast(body) if fast is not None else self._recognise(body)(body)
        except Exception:  # noqa: BLE001 - as above
            refuse_lengthy(body)
            return self._read(body)

    def _read_fast(self, body: bytes) -> Rows:
        fast = self._heads.get(body[:HEAD_BYTES])
        if fast is None:
            fast = self._recognise(body)
        return fast(body)

    # ---- fast path

    def _recognise(self, body: bytes) -> Fast:
        """Pick the fast path by the first bytes; a wrong guess fails and costs only time."""
        shape = SHAPE.match(body)
        if shape is None:
            key = ("object", "")
        else:
            brackets = shape["first"] or shape["open"] + shape["inner"]
            deeper = b"[" if DEEPER.match(body, shape.end()) else b""
            key = ("bare" if shape["bare"] else shape["wrapper"].decode(), (brackets + deeper).decode())
        fast = self._made.get(key)
        if fast is None:
            fast = self._made[key] = self._with_kernel(self._make(*key), *key)
        if len(self._heads) < HEADS_MAX and len(body) > HEAD_BYTES:
            self._heads[body[:HEAD_BYTES]] = fast
        return fast

    def _with_kernel(self, fast: Fast, form: str, brackets: str) -> Fast:
        """Return a fast path that lets the kernel read large bodies; simdjson is faster on bare numbers."""
        reader, keyed, wrapped = self._compiled, brackets.endswith("{"), form != "bare"
        bare_numbers = self._schema.plain and not keyed
        if reader is None or bare_numbers or brackets not in ({"[{", "[["} if wrapped else {"{", "["}):
            return fast
        head = re.compile(HEAD % (WRAPPED % form.encode() if wrapped else b""))

        def faster(body: bytes) -> Rows:
            rows = reader.read(body, head, wrapped=wrapped, keyed=keyed) if len(body) >= MANY_BYTES else None
            return fast(body) if rows is None else rows

        return faster

    def _make(self, form: str, brackets: str) -> Fast:
        if form == "object":
            return self._one_object()
        if form == "bare":
            row, pack = self._row_of_kind(brackets)
            parse: Callable[[bytes], Any] = msgspec.json.Decoder(list_of(row)).decode
            if brackets == "[" and self._schema.plain:
                return self._numbers(None, parse)
            return self._many(parse, pack, brackets == "{", 0)
        if form == "dataframe_split" and brackets.startswith("{"):
            return self._split()
        if form == "inputs" and brackets.startswith("{"):
            return self._columns()
        if brackets not in {"[{", "[[", "[[["}:
            return _leave
        row, pack = self._row_of_kind(brackets[1:])
        wrapper = msgspec.defstruct(
            "Wrapper", [("rows", list_of(row))], rename={"rows": form}, forbid_unknown_fields=True, gc=False
        )
        unwrap: Callable[[bytes], Any] = msgspec.json.Decoder(wrapper).decode
        if brackets == "[{":
            return self._wrapped_records(unwrap)
        if brackets == "[[" and self._schema.plain:
            return self._numbers(form, unwrap)
        return self._many(lambda body: unwrap(body).rows, pack, False, 1)

    def _row_of_kind(self, brackets: str) -> tuple[Any, Callable[[Any], bytes]]:
        """Return the type of a row that begins with these brackets, and what packs it."""
        schema = self._schema
        if brackets == "{":
            return schema.record, schema.pack_record
        return (schema.flat, schema.pack_flat) if brackets == "[" else (schema.row, schema.pack_row)

    def _numbers(self, name: str | None, parse: Callable[[bytes], Any]) -> Fast:
        """Return the path of `{"instances": [[1.5, …]]}`, written out because it carries much traffic."""
        schema = self._schema
        pack_row, width = schema.pack_flat, schema.width
        pack = None if schema.nullable else schema.pack

        def fast(body: bytes) -> Rows:
            if len(body) >= LARGE_BYTES:
                read = SIMDJSON.rows(body, name, width)
                if read is not None and fits(schema, np.frombuffer(read[0], FLOAT64)):
                    return Rows(*read)
            rows = parse(body) if name is None else parse(body).rows
            count = len(rows)
            if count == 1 and pack is not None:
                return Rows(pack(*rows[0]), 1)
            if not count:
                raise _General
            return Rows(b"".join(map(pack_row, rows)), count)

        return fast

    def _wrapped_records(self, parse: Callable[[bytes], Any]) -> Fast:
        """Return the path of `{"instances": [{…}]}`, written out because it carries most traffic."""
        pack, width, colon, check = (
            self._schema.pack_record,
            self._schema.width,
            self._colon,
            self._check_doubled,
        )

        def fast(body: bytes) -> Rows:
            rows = parse(body).rows
            count = len(rows)
            if body.count(colon) != width * count + 1:
                check(body, count, 1)
            if count == 1:
                return Rows(pack(rows[0]), 1)
            if not count:
                raise _General
            return Rows(b"".join(map(pack, rows)), count)

        return fast

    def _many(
        self,
        parse: Callable[[bytes], list[Any]],
        pack: Callable[[Any], bytes],
        objects: bool,  # noqa: FBT001
        wrappers: int,
    ) -> Fast:
        check = self._check_doubled

        def fast(body: bytes) -> Rows:
            rows = parse(body)
            if not rows:
                raise _General
            if objects:
                check(body, len(rows), wrappers)
            return Rows(b"".join(map(pack, rows)), len(rows))

        return fast

    def _one_object(self) -> Fast:
        parse, pack, check = (
            msgspec.json.Decoder(self._schema.record).decode,
            self._schema.pack_record,
            self._check_doubled,
        )

        def fast(body: bytes) -> Rows:
            data = pack(parse(body))
            check(body, 1, 0)
            return Rows(data, 1)

        return fast

    def _columns(self) -> Fast:
        schema = self._schema
        wrapper = msgspec.defstruct("Inputs", [("inputs", schema.columns)], forbid_unknown_fields=True)
        parse = msgspec.json.Decoder(wrapper).decode
        pack, names = schema.pack_row, [f"f{j}" for j in range(schema.width)]
        if schema.signature.row_shape is not None:
            return _leave

        def fast(body: bytes) -> Rows:
            inputs = cast("Any", parse(body)).inputs
            columns = [getattr(inputs, name) for name in names]
            count = len(columns[0])
            if not count:
                raise _General
            self._check_doubled(body, 1, 1)
            return Rows(b"".join(map(pack, zip(*columns, strict=True))), count)

        return fast

    def _split(self) -> Fast:
        schema = self._schema
        frame = msgspec.defstruct(
            "Frame",
            [("columns", list[str]), ("data", list_of(schema.row)), ("index", list[Any] | None, None)],
            forbid_unknown_fields=True,
        )
        parse = msgspec.json.Decoder(
            msgspec.defstruct("Split", [("dataframe_split", frame)], forbid_unknown_fields=True)
        ).decode
        names, pack = schema.names, schema.pack_row

        def fast(body: bytes) -> Rows:
            found_frame = cast("Any", parse(body)).dataframe_split
            rows = found_frame.data
            if found_frame.columns != names or not rows:
                raise _General
            return Rows(b"".join(map(pack, rows)), len(rows))

        return fast

    def _check_doubled(self, body: bytes, rows: int, wrappers: int) -> None:
        """Refuse a name that stands twice in an object.

        An object parsed with all its names has one colon each; only another number of colons (also
        inside text) is worth the slow look.
        """
        colons = body.count(self._colon) - wrappers
        schema = self._schema
        if colons not in {schema.width * rows, schema.required * rows}:
            refuse_doubled(body)

    # ---- general path

    def _read(self, body: bytes) -> Rows:
        value = self._parse(body)
        rows = self._rows_of(value)
        by_column = isinstance(value, dict) and any(
            isinstance(value.get(name), dict) for name in ("inputs", "dataframe_split")
        )
        refuse_doubled(body, rows=0 if by_column else rows.count)
        return rows

    def _rows_of(self, value: Any) -> Rows:
        if isinstance(value, list):
            return self._reader.read(value)
        if not isinstance(value, dict):
            raise InvalidInput(
                f"found {found(value)}, expected rows", hint='send {"instances": [{"feature": value, …}]}'
            )
        named = [name for name in WRAPPERS if name in value]
        features = self._schema.names
        if not named or (value.keys() <= set(features)):
            return self._reader.read([value])
        for name in value:
            if name not in named and not (name in PARAMETERS and value[name] in (None, {})):
                raise InvalidInput(
                    f"found {found(name)} beside {found(named[0])}, expected nothing else",
                    hint="the model takes no parameters" if name in PARAMETERS else None,
                )
        if len(named) > 1:
            raise InvalidInput(f"found both {found(named[0])} and {found(named[1])}, expected one of them")
        return self._unwrap(named[0], value[named[0]])

    def _unwrap(self, name: str, content: Any) -> Rows:
        if name == "dataframe_split":
            return self._read_split(content)
        if name == "inputs" and isinstance(content, dict):
            return self._read_columns(content)
        if not isinstance(content, list):
            expected = "a list of rows, or an object of columns" if name == "inputs" else "a list of rows"
            raise InvalidInput(f"{found(name)}: found {found(content)}, expected {expected}")
        return self._reader.read(content)

    def _read_columns(self, columns: dict[str, Any]) -> Rows:
        order = self._reader.order_of(list(columns), what='"inputs"')
        length: int | None = None
        for name, column in columns.items():
            if not isinstance(column, list):
                raise located(None, name, f"found {found(column)}, expected a list with one value per row")
            if length is None:
                length = len(column)
            elif len(column) != length:
                raise located(None, name, f"found {len(column)} values, expected {length} as in the others")
        names = [name for name, at in zip(self._schema.names, order, strict=True) if at is not None]
        lists = [columns[name] for name in names]
        return self._reader.read(dict(zip(names, values, strict=True)) for values in zip(*lists, strict=True))

    def _read_split(self, frame: Any) -> Rows:
        if not isinstance(frame, dict):
            raise InvalidInput(f'"dataframe_split": found {found(frame)}, expected an object')
        for name in frame:
            if name not in {"columns", "data", "index"}:
                raise InvalidInput(
                    f'"dataframe_split": found {found(name)}, expected "columns", "data" and "index" only'
                )
        columns, data = frame.get("columns"), frame.get("data")
        if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
            raise InvalidInput('"dataframe_split": expected "columns", a list of feature names')
        if not isinstance(data, list):
            raise InvalidInput('"dataframe_split": expected "data", a list of rows')
        self._reader.order_of(columns, what='"columns"')
        return self._reader.read(
            dict(zip(columns, _row_of(number, row, len(columns)), strict=True))
            for number, row in enumerate(data)
        )

    def _parse(self, body: bytes) -> Any:
        """Return the body as plain values.

        Raises:
            InvalidInput: It is not JSON; where NaN or Infinity stands, the error names the cell.
        """
        if len(body) > BOMB_CHECK_BYTES:
            self._refuse_bomb(body)
        return parse_value(body, self._any, self._rows_of)

    def _refuse_bomb(self, body: bytes) -> None:
        """Refuse a large body that is mostly brackets: as Python lists it would take many times its size."""
        lists, objects = body.count(b"["), body.count(b"{")
        if lists + objects < len(body) * BRACKET_SHARE_MAX:
            return
        rows = list_of(self._schema.record if objects > lists else self._schema.row)
        whole = rows if body.lstrip()[:1] == b"[" else map_of(rows)
        try:
            msgspec.json.decode(body, type=whole)
        except (msgspec.DecodeError, RecursionError) as error:
            number = ROW.search(str(error))
            row = int(number[1]) if number else None
            raise located(row, None, f"the rows do not fit: {error}") from None


def _row_of(number: int, row: Any, width: int) -> list[Any]:
    if not isinstance(row, list):
        raise located(number, None, f"found {found(row)}, expected a list of {width} values")
    if len(row) != width:
        raise located(number, None, f"found {len(row)} values, expected {width}")
    return row


def _leave(_body: bytes) -> Rows:
    raise _General
