"""How the kernel that reads JSON rows and its callers see memory."""

from __future__ import annotations

from enum import IntEnum

DECLINED = -1  # what the kernel returns for a text it does not take; else the number of rows
WIDTH_MAX = 4096  # features; what the kernel remembers of each lies on the calling thread's stack
TEN_MAX = 22  # the largest power of ten that float64 holds exactly
FIVE_MIN, FIVE_MAX = -342, 308  # powers beside which every number of 19 digits is 0 or too large
HASH_START, HASH_TIMES = 0xCBF29CE484222325, 0x100000001B3  # FNV-1a, 64 bits
NUMBER_TIMES = 0x9E3779B97F4A7C15  # 2 ** 64 over the golden ratio


class Plan(IntEnum):
    """Places in a plan, an int64 array. What is called an address points to an array."""

    WIDTH = 0
    KEYED = 1  # 1: a row is an object; 0: a list in the order of the features
    FEATURES = 2  # address: a `Feature` record for each
    TENS = 3  # address: float64, the powers of ten from 0 to TEN_MAX
    FIVES = 4  # address: uint64 pairs, the first 128 bits of the powers of five from FIVE_MIN to FIVE_MAX


class Feature(IntEnum):
    """How a feature's values become numbers: int64 places of a record; a number is float64.

    What has a code is looked up in a table; what is not there is UNKNOWN, and declined where that is NaN.
    """

    KIND = 0  # `Kind`
    NAME = 1  # address: the name in JSON, with its quotes, up to a whole word
    NAME_BYTES = 2
    NAME_LAST = 3  # where its last word begins
    NAME_MASK = 4  # the bytes of that word which belong to it
    NULLABLE = 5
    MISSING = 6  # a number
    LOWER = 7  # the least number taken
    UPPER = 8  # the greatest
    CODED = 9  # a number has a code; a text always has
    TABLE = 10  # address: `Entry` records, MASK + 1 of them
    MASK = 11
    UNKNOWN = 12  # a number
    TRUE = 13  # a number, NaN: declined
    FALSE = 14
    SIZE = 15


class Kind(IntEnum):
    """What a feature's values are in JSON."""

    NUMBER = 0
    WHOLE = 1  # a number without a fraction
    TEXT = 2
    BOOLEAN = 3


class Entry(IntEnum):
    """A value and its code: int64 places of a record. It lies at its hash, or behind those that do too."""

    KEY = 0  # a text's hash; a number's bits
    TEXT = 1  # address: the text, UTF-8; 0: there is no entry here; 1: a number
    TEXT_BYTES = 2
    CODE = 3  # a number
    SIZE = 4
