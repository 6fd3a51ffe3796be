"""How one value becomes one number of the matrix, feature by feature: the rules, said once.

Every codec and the column encoder go back to these rules; generated fast paths are proven equal to them.

* A feature without vocabulary is its number; int64 accepts any number without a fraction (JSON does not
  tell 5 from 5.0), within int64's range, rounded to the nearest float64 as the original does; bool is
  `true` or `false` in JSON, also `1` and `0` in text and arrays.
* A feature with vocabulary is a code. The text `001` is that text. An empty CSV cell is a missing value,
  unless the vocabulary holds the empty text.
* A column the model does not read is checked for its type, may be left out, and is 0 in the matrix.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from enum import Enum
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelport.domain.errors import InvalidInput
from modelport.domain.signature import Feature, FeatureType, Signature, Value
from modelport.runtime.numerals import BOOLEANS, parse_number
from modelport.runtime.wording import found, quote

INT64_MIN = -(2**63)
INT64_MAX = 2**63 - 1
INT64_FLOAT_MAX = math.nextafter(2.0**63, 0.0)  # float64 rounds integers beyond it onto 2 ** 63
EXACT_BELOW = 2**53  # float64 holds every integer of smaller magnitude
UNUSED = 0.0


class Unfit(Exception):
    """A value that a feature does not take; the text says found and expected."""


class Kind(Enum):
    """Which values a feature's requests hold."""

    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    TEXT = "text"
    MIXED = "mixed"  # a vocabulary of texts and numbers
    MOMENT = "moment"


class Codes(dict[Any, float]):
    """Value to code. `None` is there where a missing value is accepted.

    Subscripting is the fast path of every codec: one look-up in C for a known value.

    Args:
        feature: A feature with a vocabulary.
    """

    __slots__ = ("_accepts", "_unknown")

    def __init__(self, feature: Feature) -> None:
        super().__init__()
        for code, value in enumerate(feature.vocabulary or ()):
            self.setdefault(value, float(code))
        if feature.missing:
            self[None] = float(feature.missing_code)
        self._unknown = float(feature.unknown_code)
        self._accepts: Callable[[Any], bool] = _acceptor(feature)

    def __missing__(self, value: Any) -> float:
        """Return the code of a value that is not in the vocabulary.

        Raises:
            KeyError: The model does not accept it.
        """
        if value is not None:
            if value != value:  # noqa: PLR0124 - NaN, the missing number, is the value unequal to itself
                return self[None]
            if self._accepts(value):
                return self._unknown
        raise KeyError(value)


def _acceptor(feature: Feature) -> Callable[[Any], bool]:
    if not feature.unknown:
        return lambda _value: False
    if math.isinf(feature.lower) and math.isinf(feature.upper):
        return lambda _value: True
    return lambda value: isinstance(value, str) or feature.lower <= value <= feature.upper


class Cell:
    """The rules of one feature.

    Args:
        feature: The signature's column.

    Raises:
        InvalidInput: No number can stand for the feature's values: the model reads text or moments
            and there is no vocabulary.
    """

    def __init__(self, feature: Feature) -> None:
        self.feature = feature
        self.name = feature.name
        self.used = feature.used
        self.kind = _kind(feature)
        self.codes = Codes(feature) if feature.vocabulary is not None and feature.used else None
        if feature.used and self.codes is None and self.kind in {Kind.TEXT, Kind.MOMENT, Kind.MIXED}:
            raise InvalidInput(
                f"the signature has no vocabulary for {feature.type} feature {quote(feature.name)}",
                hint="register the model again",
                feature=feature.name,
            )
        self.exact = self.codes is not None and any(
            type(value) is int and abs(value) >= EXACT_BELOW for value in self.codes
        )  # a float64 does not tell its integers apart
        self.bounded = (
            feature.used
            and self.codes is None
            and not (math.isinf(feature.lower) and math.isinf(feature.upper))
        )

    def plain(self) -> float:
        """Return an ordinary number of this column, for warm-up rows."""
        feature = self.feature
        if self.codes is not None or not self.used or feature.type is FeatureType.BOOL:
            return 0.0
        if feature.seen_min is not None and feature.seen_max is not None:
            middle = feature.seen_min / 2 + feature.seen_max / 2
            return float(round(middle)) if self.kind is Kind.INTEGER else middle
        return min(max(0.0, feature.lower), feature.upper)

    def ordinary(self, share: float) -> float:
        """Return a number that requests may hold, for rows that differ.

        Args:
            share: Where in the range that was seen, or which of the codes; in [0, 1).
        """
        feature = self.feature
        if not self.used:
            return UNUSED
        if self.codes is not None:
            return float(int(share * len(feature.vocabulary or ())))
        if feature.type is FeatureType.BOOL:
            return float(share >= 0.5)
        if feature.seen_min is None or feature.seen_max is None:
            return self.plain()
        value = feature.seen_min + share * (feature.seen_max - feature.seen_min)
        return float(round(value)) if self.kind is Kind.INTEGER else value

    # ---- one value

    def from_json(self, value: Any) -> float:
        """Return the number of a decoded JSON value.

        Raises:
            Unfit: It has another type, or the model refuses it.
        """
        if value is None:
            return self._missing("null")
        if isinstance(value, bool):
            fits = self.kind in {Kind.BOOLEAN, Kind.MIXED}
        elif isinstance(value, int | float):
            fits = self.kind not in {Kind.TEXT, Kind.BOOLEAN} and _is_float64(value)
        else:
            fits = isinstance(value, str) and self.kind in {Kind.TEXT, Kind.MIXED, Kind.MOMENT}
        if not fits:
            raise self._unfit(value)
        if self.kind is Kind.MOMENT and isinstance(value, str):
            self._check_moment(value)
        return self._accept(self._integer(value) if self.kind is Kind.INTEGER else value)

    def from_text(self, text: str) -> float:
        """Return the number of a CSV cell (without its quotes).

        Raises:
            Unfit: It cannot be read as the feature's type, or the model refuses it.
        """
        kind = self.kind
        if not text and not (self.codes is not None and "" in self.codes):
            return self._missing("an empty cell")
        value: Value = text
        if kind is Kind.MOMENT:
            self._check_moment(text)
        elif kind is Kind.BOOLEAN:
            if text not in BOOLEANS:
                raise self._unfit(text)
            value = BOOLEANS[text]
        elif kind is Kind.MIXED:
            return self._accept(self._spelled(text))
        elif kind is not Kind.TEXT:
            number = parse_number(text, whole=self.exact or kind is Kind.INTEGER)
            if number is None:
                raise self._unfit(text)
            return self.from_number(number)
        return self._accept(value)

    def from_number(self, value: float) -> float:
        """Return the number of a value of a numeric array, where NaN is a missing value.

        Args:
            value: A Python int, float or bool.

        Raises:
            Unfit: The feature takes no such number.
        """
        if value != value:  # noqa: PLR0124 - NaN
            return self._missing("NaN")
        kind = self.kind
        if kind is Kind.TEXT:
            raise self._unfit(value)
        if kind is Kind.MOMENT:
            return UNUSED
        if kind is Kind.BOOLEAN:
            if value not in {0, 1}:
                raise self._unfit(value)
            value = bool(value)
        elif kind is Kind.INTEGER:
            value = self._integer(value)
        return self._accept(value)

    def _accept(self, value: Any) -> float:
        if not self.used:
            return UNUSED
        feature = self.feature
        if self.kind is Kind.NUMBER and not self.exact:
            value = float(value)
        if self.codes is not None:
            try:
                return self.codes[value]
            except KeyError:
                raise self._refused(value) from None
        number = float(value)
        if not feature.lower <= number <= feature.upper:
            raise self._refused(value)
        return number

    def _missing(self, found: str) -> float:
        if not self.used:
            return UNUSED
        if not self.feature.missing:
            raise Unfit(f"found {found}, expected {self.expected()}: the model accepts no missing value here")
        return float(self.feature.missing_code) if self.codes is not None else math.nan

    def _integer(self, value: float) -> int:
        if value in {math.inf, -math.inf} or value != int(value) or not INT64_MIN <= value <= INT64_MAX:
            raise self._unfit(value)
        return int(value)

    def _check_moment(self, text: str) -> None:
        try:
            datetime.fromisoformat(text)
        except ValueError:
            raise self._unfit(text) from None

    def _spelled(self, text: str) -> Value:
        """Return the vocabulary's value that is written like this, or the text itself."""
        for value in self.feature.vocabulary or ():
            if _spell(value) == text:
                return value
        return text

    def _unfit(self, value: Any) -> Unfit:
        return Unfit(f"found {found(value)}, expected {self.expected()}")

    def _refused(self, value: Any) -> Unfit:
        """Word why a value of the right type is not accepted."""
        feature = self.feature
        if self.codes is None or (isinstance(value, float) and math.isinf(value)):
            return Unfit(f"found {found(value)}, expected {self.expected()} {_range(feature)}")
        known = feature.vocabulary or ()
        shown = ", ".join(found(each) for each in known[:5]) + (", …" if len(known) > 5 else "")
        return Unfit(
            f"found {found(value)}, "
            f"expected one of the {len(known)} categories of the training data ({shown})"
        )

    def expected(self) -> str:
        """Return the type in words, for messages."""
        feature = self.feature
        if feature.type is FeatureType.CATEGORY:
            words = {
                Kind.TEXT: "a category (string)",
                Kind.NUMBER: "a category (number)",
                Kind.BOOLEAN: "a category (true or false)",
            }
            return words.get(self.kind, "a category (string or number)")
        if feature.type is FeatureType.DATETIME and self.kind is Kind.MOMENT:
            return "datetime (ISO 8601)"
        return "bool (true or false)" if feature.type is FeatureType.BOOL else str(feature.type)

    # ---- a whole column

    def from_array(self, values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """Return the numbers of a numeric or boolean array, NaN being a missing value.

        Args:
            values: `[N]`, bool, integer or float of any width.

        Returns:
            The numbers `[N]`, and which of them the model refuses (None for none): ask `from_number`
            of the first such value for the reason.
        """
        if self.codes is not None or self.kind is Kind.TEXT:
            return self._from_distinct(values)
        numbers = values.astype(np.float64, copy=False)
        bad: NDArray[np.bool_] | None = None
        if values.dtype.kind == "f":
            if self.used and not self.feature.missing:
                bad = np.isnan(numbers)
            if self.kind is Kind.INTEGER:
                bad = _either(bad, (np.trunc(numbers) != numbers) & (numbers == numbers))  # noqa: PLR0124
                bad |= (numbers < INT64_MIN) | (numbers >= float(INT64_MAX))
        elif values.dtype.kind == "u" and self.kind is Kind.INTEGER:
            bad = values > INT64_MAX
        if self.kind is Kind.BOOLEAN and values.dtype.kind != "b":
            bad = _either(bad, (numbers != 0) & (numbers != 1) & (numbers == numbers))  # noqa: PLR0124
        if self.bounded:
            bad = _either(bad, (numbers < self.feature.lower) | (numbers > self.feature.upper))
        if not self.used:
            numbers = np.zeros(len(values))
        return numbers, bad if bad is not None and bad.any() else None

    def _from_distinct(self, values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """Look each distinct value up once."""
        distinct, places = np.unique(values, return_inverse=True)
        codes, refused = self.look_up(distinct.tolist(), self.from_number)
        bad = refused[places] if refused.any() else None
        return codes[places], bad

    def look_up(
        self, values: list[Any], rule: Callable[[Any], float]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return the number of each value, and which are refused (their number is 0).

        Args:
            values: Distinct values.
            rule: `from_number`, `from_text` or `from_json`.
        """
        numbers = np.zeros(len(values))
        refused = np.zeros(len(values), np.bool_)
        for place, value in enumerate(values):
            try:
                numbers[place] = rule(value)
            except Unfit:
                refused[place] = True
        return numbers, refused


def cells_of(signature: Signature) -> tuple[Cell, ...]:
    """Return the rules of every feature, in the order of the matrix.

    Raises:
        InvalidInput: The signature has a used feature that no number stands for, or two features of
            one name.
    """
    names = [feature.name for feature in signature.features]
    doubled = next((name for name in names if names.count(name) > 1), None) if _repeats(names) else None
    if doubled is not None:
        raise InvalidInput(f"the signature names feature {quote(doubled)} twice", feature=doubled)
    return tuple(Cell(feature) for feature in signature.features)


def _is_float64(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer of more than 308 digits
        return False


def _range(feature: Feature) -> str:
    if math.isinf(feature.lower):
        return f"of at most {feature.upper!r}"
    if math.isinf(feature.upper):
        return f"of at least {feature.lower!r}"
    return f"from {feature.lower!r} to {feature.upper!r}"


def _kind(feature: Feature) -> Kind:
    if feature.type is FeatureType.DATETIME and not (feature.used and feature.vocabulary):
        return Kind.MOMENT
    if feature.vocabulary:
        if all(isinstance(value, str) for value in feature.vocabulary):
            return Kind.TEXT
        if all(isinstance(value, bool) for value in feature.vocabulary):
            return Kind.BOOLEAN
        if any(isinstance(value, str | bool) for value in feature.vocabulary):
            return Kind.MIXED
        return Kind.INTEGER if feature.type is FeatureType.INT64 else Kind.NUMBER
    return {
        FeatureType.DOUBLE: Kind.NUMBER,
        FeatureType.INT64: Kind.INTEGER,
        FeatureType.BOOL: Kind.BOOLEAN,
    }.get(feature.type, Kind.TEXT)


def _spell(value: Value) -> str:
    return msgspec.json.encode(value).decode() if isinstance(value, bool) else str(value)


def _either(one: NDArray[np.bool_] | None, other: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return other if one is None else one | other


def _repeats(names: list[str]) -> bool:
    return len(set(names)) < len(names)
