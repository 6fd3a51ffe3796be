"""The kernel that reads JSON rows, written as LLVM instructions with llvmlite.

One function, the same for every model:

    int64 read(plan, text, start, stop, out)

`plan` is the address of a `layout.Plan`, `text` that of a UTF-8 text with a 0 behind it, in which rows stand
from byte `start` to the closing bracket at byte `stop`; `out` is the address of float64 `[rows, width]` with
place for as many rows as the text has opening brackets. It returns the number of rows.

It takes plain text only: numbers of up to 19 digits, texts without escapes, objects with every feature
once. Whatever else may stand there it declines, so that what it takes is what a strict parser takes, with
the same numbers: a decimal of up to 53 bits times or over an exact power of ten is rounded once, as is any
other by the method of Eisel and Lemire (Software: Practice and Experience 51/8, 2021).

It reads no byte behind one that it has not understood, and so none behind the 0; it writes to `out` alone,
calls nothing and keeps nothing.
"""

from __future__ import annotations

from typing import Any

from modelport.runtime.compiled.words import BIT, F64, I8, I64, I128, WORD, Code, Value, build
from modelport.runtime.json_rows.layout import (
    DECLINED,
    FIVE_MAX,
    FIVE_MIN,
    HASH_START,
    HASH_TIMES,
    NUMBER_TIMES,
    TEN_MAX,
    Entry,
    Feature,
    Kind,
    Plan,
)

DIGITS_MAX = 19  # that 64 bits hold in any case
POWER_MAX = 9999  # beyond which an exponent only says: too large, or nothing
MANTISSA_BITS, EXPONENT_BIAS, EXPONENT_END = 52, 1023, 0x7FF  # of a double
SIGN = 1 << 63
NINE_BITS = 0x1FF  # of a product, below those that a double keeps, one to round by, and one to spare
LOG2_OF_FIVE_TIMES_2_16 = 152170
NOT_ASCII = 0x80


def build_kernel(triple: str) -> str:
    """Return the kernel as LLVM's text.

    Args:
        triple: The machine, as LLVM names it.
    """
    return build(5, triple, lambda function: _Kernel(function).write())


class _Kernel(Code):
    def __init__(self, function: Any) -> None:
        super().__init__(function)
        plan, text, start, stop, out = function.args
        self._plan = {field: self.record(plan, field) for field in Plan}
        self._at = self.variable(I64, self.add(text, start))
        self._end = self.add(text, stop)
        self._out = out
        self._declined = function.append_basic_block()
        width = self._plan[Plan.WIDTH]
        self._follower = self._numbers(self.add(width, 1))  # which feature came after each, and which first
        self._seen = self._numbers(width)  # the last row that named it
        with self.counting(0, width) as feature:
            self.store(self.add(feature, 1), self._follower, feature, WORD)
            self.store(self.value(0), self._seen, feature, WORD)
        self.store(self.value(0), self._follower, width, WORD)
        last = self.ir.sub(width, self.value(1))
        self.store(self.value(0), self._follower, last, WORD)

    def write(self) -> None:
        rows = self.variable(I64, 0)
        with self.repeating() as leave_when:
            out = self.add(self._out, self.times(self.times(self.get(rows), self._plan[Plan.WIDTH]), WORD))
            self._add_to(rows, 1)
            self._skip_space()
            with self.ir.if_else(self._is(self._plan[Plan.KEYED], 1)) as (keyed, listed):
                with keyed:
                    self._read_object(out, self.get(rows))
                with listed:
                    self._read_list(out)
            self._skip_space()
            leave_when(self._is(self._byte(), ord("]")))
            self._take(",")
        self._decline_unless(self.ir.icmp_unsigned("==", self.get(self._at), self._end))
        count = self.get(rows)
        here = self.ir.block
        self.ir.position_at_end(self._declined)
        self.ir.ret(self.value(DECLINED))
        self.ir.position_at_end(here)
        self.close(count)

    def _numbers(self, count: Value) -> Value:
        return self.ir.ptrtoint(self.ir.alloca(I64, count), I64)

    # ---- rows

    def _read_object(self, out: Value, row: Value) -> None:
        width = self._plan[Plan.WIDTH]
        last = self.ir.sub(width, self.value(1))
        before = self.variable(I64, width)
        self._take("{")
        with self.counting(0, width) as number:
            self._skip_space()
            feature = self._take_name(self.get(before))
            self.ir.store(feature, before)
            seen = self.load(I64, self._seen, feature, WORD)
            self._decline_unless(self.ir.icmp_unsigned("!=", seen, row))
            self.store(row, self._seen, feature, WORD)
            self._skip_space()
            self._take(":")
            self._read_value(feature, out)
            self._take_end(number, last, "}")

    def _read_list(self, out: Value) -> None:
        width = self._plan[Plan.WIDTH]
        last = self.ir.sub(width, self.value(1))
        self._take("[")
        with self.counting(0, width) as feature:
            self._read_value(feature, out)
            self._take_end(feature, last, "]")

    def _take_end(self, number: Value, last: Value, closing: str) -> None:
        """Take what stands behind a value: a comma, behind the last one the closing bracket."""
        self._skip_space()
        at_last = self.ir.icmp_unsigned("==", number, last)
        wanted = self.ir.select(at_last, self.value(ord(closing)), self.value(ord(",")))
        self._decline_unless(self.ir.icmp_unsigned("==", self._byte(), wanted))
        self._add_to(self._at, 1)

    def _take_name(self, before: Value) -> Value:
        """Return the feature whose name stands here; what followed `before` last time is tried first."""
        feature = self.variable(I64, self.load(I64, self._follower, before, WORD))
        tried = self.variable(I64, 0)
        with self.repeating() as leave_when:
            record = self._record(self.get(feature))
            leave_when(self._is_name(record))
            self._decline_unless(self.ir.icmp_unsigned("<", self.get(tried), self._plan[Plan.WIDTH]))
            self.ir.store(self.get(tried), feature)
            self._add_to(tried, 1)
        found = self.get(feature)
        self.store(found, self._follower, before, WORD)
        self._add_to(self._at, self.record(self._record(found), Feature.NAME_BYTES))
        return found

    def _is_name(self, record: Value) -> Value:
        """Return whether a feature's name stands here: in words, unless the text may end within one."""
        here, name = self.get(self._at), self.record(record, Feature.NAME)
        length = self.record(record, Feature.NAME_BYTES)
        last = self.record(record, Feature.NAME_LAST)
        answer = self.variable(BIT, 0)
        beyond = self.add(here, last, WORD)
        with self.ir.if_else(self.ir.icmp_unsigned("<=", beyond, self._end)) as (inside, near_end):
            with inside:
                place = self.variable(I64, 0)
                with self.repeating() as leave_when:
                    at = self.get(place)
                    leave_when(self.ir.icmp_unsigned(">=", at, last))
                    leave_when(
                        self.ir.icmp_unsigned("!=", self.load(I64, here, at), self.load(I64, name, at))
                    )
                    self._add_to(place, WORD)
                differ = self.ir.xor(self.load(I64, here, last), self.load(I64, name, last))
                differ = self.ir.and_(differ, self.record(record, Feature.NAME_MASK))
                reached = self.ir.icmp_unsigned("==", self.get(place), last)
                self.ir.store(self.ir.and_(reached, self._is(differ, 0)), answer)
            with near_end:
                self.ir.store(self._same(here, name, length), answer)
        return self.get(answer, BIT)

    def _same(self, one: Value, other: Value, length: Value) -> Value:
        """Return whether bytes are the same; looks no further than the first that is not."""
        place = self.variable(I64, 0)
        with self.repeating() as leave_when:
            here = self.get(place)
            leave_when(self.ir.icmp_unsigned("==", here, length))
            leave_when(self.ir.icmp_unsigned("!=", self.load(I8, one, here), self.load(I8, other, here)))
            self._add_to(place, 1)
        return self.ir.icmp_unsigned("==", self.get(place), length)

    def _record(self, feature: Value) -> Value:
        return self.add(self._plan[Plan.FEATURES], self.times(feature, Feature.SIZE * WORD))

    # ---- values

    def _read_value(self, feature: Value, out: Value) -> None:
        record = self._record(feature)
        kind = self.record(record, Feature.KIND)
        goal = self.add(out, self.times(feature, WORD))
        self._skip_space()
        with self.ir.if_else(self._is(self._byte(), ord("n"))) as (missing, present):
            with missing:
                self._decline_unless(self._is(self.record(record, Feature.NULLABLE), 1))
                self._take("null")
                self.store(self._number(record, Feature.MISSING), goal)
            with present, self.ir.if_else(self._is(kind, Kind.TEXT)) as (text, other):
                with text:
                    self.store(self._text(record), goal)
                with other, self.ir.if_else(self._is(kind, Kind.BOOLEAN)) as (boolean, number):
                    with boolean:
                        self.store(self._boolean(record), goal)
                    with number:
                        self.store(self._bounded(record, kind), goal)

    def _boolean(self, record: Value) -> Value:
        code = self.variable(F64, self._number(record, Feature.TRUE))
        with self.ir.if_else(self._is(self._byte(), ord("t"))) as (yes, no):
            with yes:
                self._take("true")
            with no:
                self._take("false")
                self.ir.store(self._number(record, Feature.FALSE), code)
        return self._known(self.get(code, F64))

    def _bounded(self, record: Value, kind: Value) -> Value:
        """Return the number that stands here, or its code."""
        number = self._decimal()
        for relation, bound in ((">=", Feature.LOWER), ("<=", Feature.UPPER)):
            self._decline_unless(self.ir.fcmp_ordered(relation, number, self._number(record, bound)))
        with self.case(kind, Kind.WHOLE):
            whole = self.ir.sitofp(self.ir.fptosi(number, I64), F64)
            self._decline_unless(self.ir.fcmp_ordered("==", whole, number))
        result = self.variable(F64, number)
        with self.case(self.record(record, Feature.CODED), 1):
            bits = self.ir.bitcast(number, I64)
            code = self._look_up(record, bits, self.times(bits, NUMBER_TIMES), lambda _: self.value(1, BIT))
            self.ir.store(self._known(code), result)
        return self.get(result, F64)

    def _text(self, record: Value) -> Value:
        """Return the code of the text that stands here."""
        self._take('"')
        begin = self.get(self._at)
        hashed, all_of_them = self.variable(I64, HASH_START), self.variable(I64, 0)
        with self.repeating() as leave_when:
            byte = self._byte()
            leave_when(self._is(byte, ord('"')))
            plain = self.ir.icmp_unsigned(">=", byte, self.value(ord(" ")))
            self._decline_unless(
                self.ir.and_(plain, self.ir.icmp_unsigned("!=", byte, self.value(ord("\\"))))
            )
            self.ir.store(self.ir.or_(self.get(all_of_them), byte), all_of_them)
            self.ir.store(self.times(self.ir.xor(self.get(hashed), byte), HASH_TIMES), hashed)
            self._add_to(self._at, 1)
        length = self.ir.sub(self.get(self._at), begin)
        self._add_to(self._at, 1)

        def same(entry: Value) -> Value:
            as_long = self.ir.icmp_unsigned("==", self.record(entry, Entry.TEXT_BYTES), length)
            shorter = self.ir.select(as_long, length, self.value(0))
            return self.ir.and_(as_long, self._same(begin, self.record(entry, Entry.TEXT), shorter))

        other = self.ir.and_(self.get(all_of_them), self.value(NOT_ASCII))  # that it is UTF-8 is not known
        code = self._look_up(record, self.get(hashed), self.get(hashed), same, doubtful=other)
        return self._known(code)

    def _look_up(self, record: Value, key: Value, hashed: Value, same: Any, doubtful: Value = 0) -> Value:
        """Return the code of a value, or of the unknown."""
        mask, table = self.record(record, Feature.MASK), self.record(record, Feature.TABLE)
        place = self.variable(I64, self.ir.xor(hashed, self.ir.lshr(hashed, self.value(32))))
        code = self.variable(F64, self._number(record, Feature.UNKNOWN))
        with self.repeating() as leave_when:
            entry = self.add(table, self.times(self.ir.and_(self.get(place), mask), Entry.SIZE * WORD))
            empty = self._is(self.record(entry, Entry.TEXT), 0)
            with self.ir.if_then(empty):
                self._decline_unless(self._is(self.value(doubtful), 0))
            leave_when(empty)
            likely = self.ir.icmp_unsigned("==", self.record(entry, Entry.KEY), key)
            with self.ir.if_then(likely):
                found = same(entry)
                self.ir.store(
                    self.ir.select(found, self._number(entry, Entry.CODE), self.get(code, F64)), code
                )
                leave_when(found)
            self._add_to(place, 1)
        return self.get(code, F64)

    def _known(self, code: Value) -> Value:
        self._decline_unless(self.ir.fcmp_ordered("ord", code, code))
        return code

    def _number(self, record: Value, field: Feature | Entry) -> Value:
        return self.load(F64, record, int(field), WORD)

    # ---- decimals

    def _decimal(self) -> Value:
        """Return the number that stands here, rounded to the nearest double, ties to even."""
        negative = self._is(self._byte(), ord("-"))
        self._add_to(self._at, self.wide(negative))
        mantissa, digits, exponent = (self.variable(I64, 0) for _ in range(3))
        with self.ir.if_else(self._is(self._byte(), ord("0"))) as (zero, other):
            with zero:
                self._add_to(self._at, 1)
            with other:
                self._take_digits(mantissa, digits)
        with self.case(self._byte(), ord(".")):
            self._add_to(self._at, 1)
            begin = self.get(self._at)
            self._take_digits(mantissa, digits)
            self.ir.store(self.ir.sub(begin, self.get(self._at)), exponent)
        with self.case(self.ir.or_(self._byte(), self.value(0x20)), ord("e")):
            self._add_to(self._at, 1)
            self._add_to(exponent, self._power())
        self._decline_unless(self.ir.icmp_unsigned("<=", self.get(digits), self.value(DIGITS_MAX)))
        bits = self._assembled(negative, self.get(mantissa), self.get(exponent))
        return self.ir.bitcast(bits, F64)

    def _take_digits(self, mantissa: Value, digits: Value) -> None:
        """Take one digit or more; `digits` counts from the first that is not 0."""
        self._decline_unless(self._is_digit(self._digit()))
        with self.repeating() as leave_when:
            digit = self._digit()
            leave_when(self.ir.not_(self._is_digit(digit)))
            value = self.add(self.times(self.get(mantissa), 10), digit)
            self.ir.store(value, mantissa)
            counts = self.ir.icmp_unsigned("!=", self.ir.or_(value, self.get(digits)), self.value(0))
            self._add_to(digits, self.wide(counts))
            self._add_to(self._at, 1)

    def _power(self) -> Value:
        """Return the number behind an `e`."""
        minus = self._is(self._byte(), ord("-"))
        plus = self._is(self._byte(), ord("+"))
        self._add_to(self._at, self.wide(self.ir.or_(minus, plus)))
        self._decline_unless(self._is_digit(self._digit()))
        power = self.variable(I64, 0)
        with self.repeating() as leave_when:
            digit = self._digit()
            leave_when(self.ir.not_(self._is_digit(digit)))
            longer = self.add(self.times(self.get(power), 10), digit)
            self.ir.store(self.least(longer, POWER_MAX), power)
            self._add_to(self._at, 1)
        return self.ir.select(minus, self.ir.sub(self.value(0), self.get(power)), self.get(power))

    def _assembled(self, negative: Value, mantissa: Value, exponent: Value) -> Value:
        """Return the bits of mantissa · 10 ** exponent."""
        bits = self.variable(I64, 0)
        nothing = self._is(mantissa, 0)
        self._decline_unless(self.ir.not_(self.ir.and_(nothing, negative)))  # -0: parsers differ
        in_range = self._between(exponent, -TEN_MAX, TEN_MAX)
        fits = self.ir.icmp_unsigned("<=", mantissa, self.value(1 << MANTISSA_BITS + 1))
        with self.ir.if_else(self.ir.and_(in_range, fits)) as (exact, other):
            with exact:
                number = self.ir.sitofp(mantissa, F64)
                up = self.ir.icmp_signed(">=", exponent, self.value(0))
                size = self.ir.select(up, exponent, self.ir.sub(self.value(0), exponent))
                ten = self.load(F64, self._plan[Plan.TENS], size, WORD)
                result = self.variable(F64, number)
                with self.ir.if_else(up) as (times, over):
                    with times:
                        self.ir.store(self.ir.fmul(number, ten), result)
                    with over:
                        self.ir.store(self.ir.fdiv(number, ten), result)
                self.ir.store(self.ir.bitcast(self.get(result, F64), I64), bits)
            with other, self.ir.if_then(self.ir.not_(nothing)):
                self.ir.store(self._rounded(mantissa, exponent), bits)
        sign = self.ir.select(negative, self.value(SIGN), self.value(0))
        return self.ir.or_(self.get(bits), sign)

    def _rounded(self, mantissa: Value, exponent: Value) -> Value:
        """Return the bits of mantissa · 10 ** exponent by the method of Eisel and Lemire."""
        code, value = self.ir, self.value
        self._decline_unless(self._between(exponent, FIVE_MIN, FIVE_MAX))
        zeros = code.ctlz(mantissa, value(1, BIT))
        w = code.shl(mantissa, zeros)
        five = self.add(self._plan[Plan.FIVES], self.times(self.add(exponent, -FIVE_MIN), 2 * WORD))
        high, low = self._product(w, self.load(I64, five))
        upper, lower = self.variable(I64, high), self.variable(I64, low)
        in_doubt = self._is(code.and_(high, value(NINE_BITS)), NINE_BITS)
        with code.if_then(in_doubt):
            second, _ = self._product(w, self.load(I64, five, 1, WORD))
            more = self.add(low, second)
            code.store(more, lower)
            code.store(self.add(high, self.wide(code.icmp_unsigned("<", more, second))), upper)
        high, low = self.get(upper), self.get(lower)
        first_bit = code.lshr(high, value(63))
        shift = self.add(first_bit, 64 - MANTISSA_BITS - 3)
        kept = code.lshr(high, shift)
        power = code.ashr(self.times(exponent, LOG2_OF_FIVE_TIMES_2_16 + (1 << 16)), value(16))
        power = code.sub(self.add(power, 63 + EXPONENT_BIAS, first_bit), zeros)
        self._decline_unless(code.icmp_signed(">", power, value(0)))  # subnormal
        halfway = self._all(
            code.icmp_unsigned("<=", low, value(1)),
            self._between(exponent, -4, 23),
            self._is(code.and_(kept, value(3)), 1),
            code.icmp_unsigned("==", code.shl(kept, shift), high),
        )
        kept = code.select(halfway, code.and_(kept, value(-2)), kept)
        kept = code.lshr(self.add(kept, code.and_(kept, value(1))), value(1))
        too_long = code.lshr(kept, value(MANTISSA_BITS + 1))  # rounded up to the next power of two
        power = self.add(power, too_long)
        kept = code.and_(kept, value((1 << MANTISSA_BITS) - 1))
        self._decline_unless(code.icmp_signed("<", power, value(EXPONENT_END)))
        return code.or_(kept, code.shl(power, value(MANTISSA_BITS)))

    def _product(self, one: Value, other: Value) -> tuple[Value, Value]:
        """Return the upper and the lower half of a product."""
        code = self.ir
        whole = code.mul(code.zext(one, I128), code.zext(other, I128))
        return code.trunc(code.lshr(whole, self.value(64, I128)), I64), code.trunc(whole, I64)

    # ---- words

    def _byte(self) -> Value:
        return self.wide(self.load(I8, self.get(self._at)))

    def _digit(self) -> Value:
        return self.ir.sub(self._byte(), self.value(ord("0")))

    def _is_digit(self, digit: Value) -> Value:
        return self.ir.icmp_unsigned("<=", digit, self.value(9))

    def _is(self, one: Value, other: int) -> Value:
        return self.ir.icmp_unsigned("==", one, self.value(other))

    def _between(self, number: Value, lower: int, upper: int) -> Value:
        return self._all(
            self.ir.icmp_signed(">=", number, self.value(lower)),
            self.ir.icmp_signed("<=", number, self.value(upper)),
        )

    def _all(self, first: Value, *others: Value) -> Value:
        for each in others:
            first = self.ir.and_(first, each)
        return first

    def _add_to(self, place: Value, more: Value) -> None:
        self.ir.store(self.add(self.get(place), more), place)

    def _take(self, text: str) -> None:
        """Step over a text that must stand here."""
        for byte in text.encode():
            self._decline_unless(self._is(self._byte(), byte))
            self._add_to(self._at, 1)

    def _skip_space(self) -> None:
        with self.repeating() as leave_when:
            byte = self._byte()
            leave_when(self.ir.icmp_unsigned(">", byte, self.value(ord(" "))))
            is_space = self._is(byte, ord(" "))
            for each in b"\n\r\t":
                is_space = self.ir.or_(is_space, self._is(byte, each))
            self._decline_unless(is_space)
            self._add_to(self._at, 1)

    def _decline_unless(self, condition: Value) -> None:
        further = self.ir.append_basic_block()
        self.ir.cbranch(condition, further, self._declined)
        self.ir.position_at_end(further)
