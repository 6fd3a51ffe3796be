"""Numbers of large JSON texts, straight into memory, by simdjson.

simdjson writes nested lists as one flat buffer of float64, twice as fast as lists of Python numbers can be
made and packed; what it flattens it does not tell, so the brackets and the length of every row are checked
here. Whatever is not plain rows of numbers is left to the general decoders, which alone word errors.
"""

from __future__ import annotations

import threading
from typing import Any

from modelport.runtime.json_rows.reader import count_byte

LARGE_BYTES = 4 << 10
"""Smaller texts gain nothing."""

LIST = ord("[")
KEPT_TEXT_BYTES = 1 << 20  # a parser keeps memory for the longest text that it has seen
KEPT_PARSERS = 2  # the loop's, and one of the models' threads'


class SimdJson:
    """The library, imported in a thread of its own when it is first asked for: it takes 30 ms."""

    def __init__(self) -> None:
        self._make: Any = None
        self._asked = False
        self._idle: list[Any] = []

    def load(self) -> None:
        """Import the library; where there is none, `rows` and `numbers` go on to give None."""
        try:
            import csimdjson
        except ImportError:
            return
        self._make = csimdjson.Parser

    def rows(self, text: bytes, name: str | None, width: int) -> tuple[memoryview, int] | None:
        """Read a list of rows.

        Args:
            text: JSON.
            name: The only field of the object that holds the rows; None where the list is all there is.
            width: Numbers in each row.

        Returns:
            float64 `[rows, width]` as bytes, and the number of rows, at least 1; None where the text is
            anything else, or the library is not there (yet).
        """
        if text.find(b"n", 0 if name is None else len(name) + 4) >= 0:  # a null, most likely
            return None
        parser = self._parser()
        if parser is None:
            return None
        try:
            read = _rows(parser.parse(text), text, name, width)
        except (TypeError, ValueError, RuntimeError, KeyError, UnicodeDecodeError):
            return None  # and without the parser: the error may hold on to what it has read
        self._keep(parser, len(text))
        return read

    def numbers(self, text: bytes, count: int) -> memoryview | None:
        """Read a list of `count` numbers as float64; None where the text is anything else."""
        parser = self._parser() if count_byte(text, LIST) == 1 else None
        if parser is None:
            return None
        try:
            buffer = memoryview(parser.parse(text).as_buffer(of_type="d")).cast("B")
        except (TypeError, ValueError, RuntimeError, AttributeError, UnicodeDecodeError):
            return None
        self._keep(parser, len(text))
        return buffer if len(buffer) == 8 * count else None

    def _parser(self) -> Any:
        if self._make is None:
            if not self._asked:
                self._asked = True
                threading.Thread(target=self.load, name="simdjson", daemon=True).start()
            return None
        try:
            return self._idle.pop()
        except IndexError:
            return self._make()

    def _keep(self, parser: Any, size: int) -> None:
        if size <= KEPT_TEXT_BYTES and len(self._idle) < KEPT_PARSERS:
            self._idle.append(parser)


def _rows(document: Any, text: bytes, name: str | None, width: int) -> tuple[memoryview, int] | None:
    """Return the rows of a parsed text; keeps no part of the document."""
    if name is not None:
        if len(document) != 1:
            return None
        document = document[name]
    count = len(document)
    if count_byte(text, LIST) != count + 1 or set(map(len, document)) != {width}:
        return None
    return memoryview(document.as_buffer(of_type="d")).cast("B"), count


SIMDJSON = SimdJson()
