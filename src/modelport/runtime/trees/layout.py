"""How the kernel and its callers see memory: one plan of whole numbers and addresses for each model.

A row is first encoded: each question that trees ask has a column, and the row's number there is its rank
among the thresholds of that column, in the upper 16 of 32 bits. Rows are encoded in groups of `LANES`,
column after column. A node is 8 bytes: column * LANES (bits 0-15), the threshold's rank (16-31), the place
of its left child (32-63); the right child stands behind the left one. A row goes right when its 32 bits are
greater than the lower 32 of the node, which they are when its rank is greater. A leaf has the rank that
nothing exceeds, and itself as child: walking on changes nothing.
"""

from __future__ import annotations

from enum import IntEnum

LANES = 8  # trees of one row, or rows of one tree, that are walked at the same time
LEAF_RANK = 0xFFFF
RANK_SHIFT = 16
RANKS = 0xFFFE  # ranks of one column: 0 … RANKS - 1; a row beyond the last threshold has RANKS
WHOLE = 0x101  # a numpy array's flags C_CONTIGUOUS and ALIGNED
DECLINED = 1  # what the kernel returns for an array it does not take; 0 otherwise
BLOCK_BYTES = 64 << 10  # encoded rows of one block, on the stack of the calling thread
CELL_BYTES = 4
COLUMNS_MAX = BLOCK_BYTES // (CELL_BYTES * LANES)


class Plan(IntEnum):
    """Places in a model's plan, an int64 array. What is called an address points to an array."""

    FEATURES = 0  # float64 numbers of a row
    COLUMNS = 1
    TREES = 2
    GROUPS_END = 3  # trees, up to a multiple of LANES
    OUTPUTS = 4
    KIND = 5  # `Kind`
    FINISH = 6  # `Finish`
    NODES = 7  # address: uint64; node 0 is a leaf that adds nothing
    ROOTS = 8  # address: uint32 for each tree, then node 0 until GROUPS_END
    VALUES = 9  # address: float64 for each node (`Kind.ROWS`: rows of OUTPUTS)
    LEAVES = 10  # address: uint32 for each node, its row in VALUES (`Kind.ROWS`)
    TARGETS = 11  # address: uint32 for each tree, the output it adds to (`Kind.TARGETS`)
    ORDERED = 12  # address: `Ordered` records
    ORDERED_END = 13  # address: behind them
    LISTED = 14  # address: `Listed` records
    LISTED_END = 15  # address: behind them
    CODED = 16  # address: `Coded` records
    CODED_END = 17  # address: behind them
    BLOCK_ROWS = 18  # rows of a block, a multiple of LANES
    STRIDE = 19  # float64 numbers from one row's sums to the next one's
    NUMBERS = 20  # address: float64, `Number`
    TIE = 21  # the label where a binary sum is 0
    PAIRS = 22  # a softmax adds even and odd places apart, as ONNX Runtime's own does
    ARRAY_TYPE = 23  # address of the type object of numpy arrays
    FLOAT64 = 24  # address of numpy's float64 type description
    OBJECT_BYTES = 25  # bytes of the fields that every Python object has


class Array(IntEnum):
    """Fields of a numpy array object: bytes behind the fields that every Python object has.

    Source: `PyArrayObject_fields` of numpy's C interface, which compiled extensions rely on.
    """

    TYPE = -8
    DATA = 0
    DIMENSIONS = 8
    SHAPE = 16
    DTYPE = 40
    FLAGS = 48


class Ordered(IntEnum):
    """A feature that is compared: int64 places of a record. `Stretch` records follow, COUNT of them."""

    FEATURE = 0
    STEPS = 1
    TABLE = 2  # address: float64, 2 ** STEPS; a search tree in the order of a heap, root at 1, padded with ∞
    COUNT = 3
    SIZE = 4


class Stretch(IntEnum):
    """A column with the ranks of some thresholds: int64 places of a record."""

    OFFSET = 0  # rank of the first of them
    COLUMN = 1  # column * LANES
    MISSING = 2  # the rank of NaN: 0 goes left, LEAF_RANK goes right
    SIZE = 3


class Listed(IntEnum):
    """A feature of which membership is asked: int64 places of a record."""

    FEATURE = 0
    STEPS = 1
    TABLE = 2  # as for `Ordered`: all members of all sets
    COUNT = 3  # members
    MEMBERS = 4  # address: float64, 2 ** STEPS; the members, rising, padded with ∞
    ROWS = 5  # address: uint32 rows, encoded: one for each member, one for any other number, one for NaN
    COLUMN = 6  # first column * LANES
    WIDTH = 7  # columns
    SIZE = 8


class Coded(IntEnum):
    """A feature that is a code: int64 places of a record."""

    FEATURE = 0
    COUNT = 1  # codes
    ROWS = 2  # address: uint32 rows, encoded, one for each code
    COLUMN = 3  # first column * LANES
    WIDTH = 4  # columns
    SIZE = 5


class Kind(IntEnum):
    """What is added up."""

    ONE = 0  # one number
    TARGETS = 1  # each tree adds to one of several
    ROWS = 2  # each leaf has a number for every output


class Finish(IntEnum):
    """What becomes of the sums."""

    SUMS = 0  # first array `[N, OUTPUTS]`: the sums
    MEAN = 1  # the sums divided by SCALE
    MEAN_CLASSES = 2  # first: place of the largest `[N]`, second `[N, OUTPUTS]`: as MEAN
    LOGISTIC = 3  # first: SCALE · sum > 0 `[N]`, second `[N, 2]`: softmax of (0, SCALE · sum)
    SOFTMAX = 4  # first: place of the largest `[N]`, second `[N, OUTPUTS]`: softmax
    EXPONENTIAL = 5  # e to the power of the sums


CLASSES = (Finish.MEAN_CLASSES, Finish.LOGISTIC, Finish.SOFTMAX)
"""Those with two arrays."""


class Number(IntEnum):
    """Places among the numbers of a plan, float64: constants stand outside the code."""

    SCALE = 0
    ONE = 1
    HALF = 2
    TWO = 3
    LOWEST = 4  # whose exponential is 0
    LOG2_E = 5
    LN2_HIGH = 6
    LN2_LOW = 7
    P0 = 8
    P1 = 9
    Q0 = 10
    Q1 = 11
    Q2 = 12
    HIGHEST = 13  # above it, all have the same exponential


NUMBERS = (
    *(1.0, 1.0, 0.5, 2.0, -746.0),
    *(1.4426950408889634074, 0.693145751953125, 1.42860682030941723212e-6),
    *(1.26177193074810590878e-4, 3.02994407707441961300e-2),
    *(3.00198505138664455042e-6, 2.52448340349684104192e-3, 2.27265548208155028766e-1),
    709.784,
)
"""The exponential of Eigen's double packets, which ONNX Runtime uses: Cephes' rational function.

Source:
https://gitlab.com/libeigen/eigen/-/blob/master/Eigen/src/Core/arch/Default/GenericPacketMathFunctions.h
"""
