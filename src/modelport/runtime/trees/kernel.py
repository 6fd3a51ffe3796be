"""The kernel: what the compiled code does, written as LLVM instructions with llvmlite.

One function, the same for every model:

    int64 predict(plan, matrix, first, second)

`plan` is the address of a `layout.Plan`; the others are addresses of numpy array *objects* (`id(array)`),
whose fields are read here: asking numpy for them from Python would take longer than walking a hundred
trees. A matrix that is no whole C-contiguous float64 array of the model's width is declined. The other two
are made by the caller for this call, and are what they must be.

It touches only what it is given, calls nothing and keeps nothing, so any number of threads may run it
without the interpreter lock. It uses no instruction beyond the architecture's baseline and no constant
outside the code: the same bytes run at any address on any such processor.

The walk has one branch that depends on the data: whether all eight walks have arrived. Eight trees of one
row, or eight rows of one tree, are in flight at the same time, so that the processor never waits for one
node.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from modelport.runtime.compiled.words import F64, I32, I64, WORD, Code, Value, build
from modelport.runtime.trees.layout import (
    CELL_BYTES,
    CLASSES,
    DECLINED,
    LANES,
    LEAF_RANK,
    RANK_SHIFT,
    RANKS,
    WHOLE,
    Array,
    Coded,
    Finish,
    Kind,
    Listed,
    Number,
    Ordered,
    Plan,
    Stretch,
)

STEPS_UNASKED = 2  # steps between two looks at whether all have arrived
LINE = 8  # places of a cache line
GROUPS_AHEAD_MIN = 4  # fewer rows see too little of a tree for all of it to be fetched
EXPONENT_BIAS, EXPONENT_SHIFT = 1023, 52  # of a double


def build_kernel(triple: str) -> str:
    """Return the kernel as LLVM's text.

    Args:
        triple: The machine, as LLVM names it.
    """
    return build(4, triple, lambda function: _Kernel(function).write())


class _Kernel(Code):
    def __init__(self, function: Any) -> None:
        super().__init__(function)
        plan, *arrays = function.args
        self._plan = {field: self.record(plan, field) for field in Plan}
        self._decline_others(arrays[0])
        self._matrix, self._first, self._second = (self._of(each, Array.DATA) for each in arrays)
        self._rows = self.load(I64, self._of(arrays[0], Array.SHAPE))
        cells = self.times(self._plan[Plan.BLOCK_ROWS], self._plan[Plan.COLUMNS])
        space = self.ir.alloca(I32, cells)
        space.align = 64
        self._cells = self.ir.ptrtoint(space, I64)
        self._spoiled = self.variable(I64, 0)

    def write(self) -> None:
        plan = self._plan
        classes = self._one_of(plan[Plan.FINISH], CLASSES)
        # Sums are kept where the answers will stand; the one of a binary classifier in the last place.
        answers = self.ir.select(classes, self._second, self._first)
        behind = self.ir.sub(plan[Plan.STRIDE], plan[Plan.OUTPUTS])
        answers = self.add(answers, self.times(behind, WORD))
        with self.counting(0, self._rows, plan[Plan.BLOCK_ROWS]) as start:
            rows = self.least(plan[Plan.BLOCK_ROWS], self.ir.sub(self._rows, start))
            sums, matrix = self._sums(answers, start), self._row(self._matrix, start)
            self._clear(sums, rows)
            in_groups = self.ir.and_(rows, self.value(-LANES))
            self._walk_groups(matrix, in_groups, sums)
            with self.counting(in_groups, rows) as row:
                self._walk_row(self._row(matrix, row), self._sums(sums, row))
            self._finish(sums, rows, start)
        self.close(self.get(self._spoiled))

    def _one_of(self, what: Value, values: Sequence[int]) -> Value:
        same = [self.ir.icmp_unsigned("==", what, self.value(each)) for each in values]
        found = same[0]
        for each in same[1:]:
            found = self.ir.or_(found, each)
        return found

    def _of(self, array: Value, field: Array, kind: Any = I64) -> Value:
        """Return a field of a numpy array object."""
        return self.load(kind, self.add(array, self._plan[Plan.OBJECT_BYTES], int(field)))

    def _decline_others(self, matrix: Value) -> None:
        """Return at once where the matrix is not what the walk can read."""
        same = self.ir.icmp_unsigned
        plan = self._plan
        is_array = same("==", self._of(matrix, Array.TYPE), plan[Plan.ARRAY_TYPE])
        self._decline_unless(is_array)
        flags = self.ir.and_(self._of(matrix, Array.FLAGS, I32), self.value(WHOLE, I32))
        fits = same("==", flags, self.value(WHOLE, I32))
        fits = self.ir.and_(fits, same("==", self._of(matrix, Array.DTYPE), plan[Plan.FLOAT64]))
        fits = self.ir.and_(fits, same("==", self._of(matrix, Array.DIMENSIONS, I32), self.value(2, I32)))
        self._decline_unless(fits)
        width = self.load(I64, self._of(matrix, Array.SHAPE), 1, WORD)
        self._decline_unless(same("==", width, plan[Plan.FEATURES]))

    def _decline_unless(self, condition: Value) -> None:
        with self.ir.if_then(self.ir.not_(condition)):
            self.ir.ret(self.value(DECLINED))

    def _row(self, matrix: Value, row: Value) -> Value:
        return self.add(matrix, self.times(self.times(row, self._plan[Plan.FEATURES]), WORD))

    def _sums(self, sums: Value, row: Value) -> Value:
        return self.add(sums, self.times(self.times(row, self._plan[Plan.STRIDE]), WORD))

    def _clear(self, sums: Value, rows: Value) -> None:
        with self.counting(0, rows) as row, self.counting(0, self._plan[Plan.OUTPUTS]) as output:
            self.store(self.value(0.0, F64), self._sums(sums, row), output, WORD)

    # ---- encoding

    def _encode(self, rows: Sequence[Value], cells: Value) -> None:
        """Encode rows, given by their addresses, as the first of a group."""
        plan = self._plan
        record = self.variable(I64, plan[Plan.ORDERED])
        with self._while_below(record, plan[Plan.ORDERED_END]) as here:
            numbers, ranks = self._search(rows, here)
            missing = [self.ir.fcmp_unordered("uno", each, each) for each in numbers]
            stretches = self.add(here, WORD * Ordered.SIZE)
            stop = self.add(stretches, self.times(self.record(here, Ordered.COUNT), WORD * Stretch.SIZE))
            with self.counting(stretches, stop, WORD * Stretch.SIZE) as stretch:
                offset, column, absent = (
                    self.record(stretch, each) for each in (Stretch.OFFSET, Stretch.COLUMN, Stretch.MISSING)
                )
                for lane, (rank, gone) in enumerate(zip(ranks, missing, strict=True)):
                    beyond = self.ir.select(
                        self.ir.icmp_unsigned("<", rank, offset), self.value(0), self.ir.sub(rank, offset)
                    )
                    held = self.ir.select(gone, absent, self.least(beyond, RANKS))
                    self._put(held, cells, column, lane)
            self.ir.store(stop, record)
        with self.counting(plan[Plan.LISTED], plan[Plan.LISTED_END], WORD * Listed.SIZE) as here:
            numbers, ranks = self._search(rows, here)
            for lane, (number, rank) in enumerate(zip(numbers, ranks, strict=True)):
                row = self._listed(number, rank, here)
                self._copy(row, here, Listed, cells, lane)
        with self.counting(plan[Plan.CODED], plan[Plan.CODED_END], WORD * Coded.SIZE) as here:
            feature, count = self.record(here, Coded.FEATURE), self.record(here, Coded.COUNT)
            for lane, row in enumerate(rows):
                code = self._code(self.load(F64, row, feature, WORD), count)
                self._copy(code, here, Coded, cells, lane)

    def _listed(self, number: Value, rank: Value, here: Value) -> Value:
        """Return the row that stands for a number: its own, that of others, that of NaN."""
        count = self.record(here, Listed.COUNT)
        missing = self.ir.fcmp_unordered("uno", number, number)
        rank = self.ir.select(missing, self.value(0), rank)  # for NaN the search ends anywhere
        last = self.ir.sub(self.ir.shl(self.value(1), self.record(here, Listed.STEPS)), self.value(1))
        member = self.load(F64, self.record(here, Listed.MEMBERS), self.least(rank, last), WORD)
        known = self.ir.icmp_unsigned("<", rank, count)
        same = self.ir.and_(self.ir.fcmp_ordered("==", member, number), known)
        return self.ir.select(missing, self.add(count, 1), self.ir.select(same, rank, count))

    def _code(self, number: Value, count: Value) -> Value:
        """Return a code as a whole number; what is none spoils the call, and ONNX Runtime answers it."""
        inside = self.ir.and_(
            self.ir.fcmp_ordered(">=", number, self.value(0.0, F64)),
            self.ir.fcmp_ordered("<", number, self.ir.sitofp(count, F64)),
        )
        code = self.ir.fptosi(self.ir.select(inside, number, self.value(0.0, F64)), I64)
        right = self.ir.and_(inside, self.ir.fcmp_ordered("==", self.ir.sitofp(code, F64), number))
        spoiled = self.ir.select(right, self.get(self._spoiled), self.value(DECLINED))
        self.ir.store(spoiled, self._spoiled)
        return code

    def _copy(self, row: Value, here: Value, record: type[Listed | Coded], cells: Value, lane: int) -> None:
        """Copy a row that is encoded already."""
        rows, column, width = (self.record(here, each) for each in (record.ROWS, record.COLUMN, record.WIDTH))
        source = self.add(rows, self.times(self.times(row, width), CELL_BYTES))
        goal = self.add(cells, lane * CELL_BYTES, self.times(column, CELL_BYTES))
        with self.counting(0, width) as place:
            self.store(self.load(I32, source, place, CELL_BYTES), goal, place, CELL_BYTES * LANES)

    def _put(self, rank: Value, cells: Value, column: Value, lane: int) -> None:
        shifted = self.ir.trunc(self.ir.shl(rank, self.value(RANK_SHIFT)), I32)
        self.store(shifted, self.add(cells, lane * CELL_BYTES), column, CELL_BYTES)

    def _search(self, rows: Sequence[Value], record: Value) -> tuple[list[Value], list[Value]]:
        """Return the numbers of a record's feature, and how many of its table are smaller than each."""
        feature, steps, table = (
            self.record(record, each) for each in (Ordered.FEATURE, Ordered.STEPS, Ordered.TABLE)
        )
        numbers = [self.load(F64, row, feature, WORD) for row in rows]
        places = [self.variable(I64, 1) for _ in rows]
        with self.counting(0, steps):
            for number, place in zip(numbers, places, strict=True):
                here = self.get(place)
                smaller = self.ir.fcmp_unordered("<", self.load(F64, table, here, WORD), number)
                self.ir.store(self.add(here, here, self.wide(smaller)), place)
        first = self.ir.shl(self.value(1), steps)
        return numbers, [self.ir.sub(self.get(place), first) for place in places]

    @contextmanager
    def _while_below(self, place: Value, stop: Value) -> Iterator[Value]:
        """Do it while a variable, which the body moves, is below `stop`."""
        head, body, after = (self.ir.append_basic_block() for _ in range(3))
        self.ir.branch(head)
        self.ir.position_at_end(head)
        here = self.get(place)
        self.ir.cbranch(self.ir.icmp_unsigned("<", here, stop), body, after)
        self.ir.position_at_end(body)
        yield here
        self.ir.branch(head)
        self.ir.position_at_end(after)

    # ---- walking

    def _walk_row(self, row: Value, sums: Value) -> None:
        """Walk all trees with one row, LANES of them at a time."""
        self._encode([row], self._cells)
        with self.counting(0, self._plan[Plan.GROUPS_END], LANES) as tree:
            roots = [
                self.wide(self.load(I32, self._plan[Plan.ROOTS], self.add(tree, lane), 4))
                for lane in range(LANES)
            ]
            leaves = self._walk(roots, [self._cells] * LANES)
            self._add_row(tree, leaves, sums)

    def _walk_groups(self, matrix: Value, rows: Value, sums: Value) -> None:
        """Walk LANES rows at a time, tree after tree, so that a tree stays in the cache."""
        columns = self._plan[Plan.COLUMNS]
        with self.counting(0, rows, LANES) as first:
            group = self.add(self._cells, self.times(self.times(first, columns), CELL_BYTES))
            self._encode([self._row(matrix, self.add(first, lane)) for lane in range(LANES)], group)
        with (
            self.ir.if_then(self.ir.icmp_unsigned("!=", rows, self.value(0))),
            self.counting(0, self._plan[Plan.TREES]) as tree,
        ):
            root = self.wide(self.load(I32, self._plan[Plan.ROOTS], tree, 4))
            following, share = self._following(tree, root, rows)
            with self.counting(0, rows, LANES) as first:
                group = self.add(self._cells, self.times(self.times(first, columns), CELL_BYTES))
                self._fetch_ahead(following, share, first)
                leaves = self._walk(
                    [root] * LANES, [self.add(group, lane * CELL_BYTES) for lane in range(LANES)]
                )
                self._add_group(tree, leaves, self._sums(sums, first))

    def _following(self, tree: Value, root: Value, rows: Value) -> tuple[Value, Value]:
        """Return the root of the tree after this one, and how much of it each group of rows lets be fetched.

        While one tree is walked the next one comes nearer: a forest is larger than the caches, and its
        trees are visited in an order that no processor foresees. The next tree is taken to be as large as
        this one.
        """
        last = self.ir.sub(self._plan[Plan.TREES], self.value(1))
        following = self.wide(self.load(I32, self._plan[Plan.ROOTS], self.least(self.add(tree, 1), last), 4))
        groups = self.ir.udiv(rows, self.value(LANES))
        share = self.add(self.ir.udiv(self.ir.sub(following, root), groups), LINE - 1)
        few = self.ir.icmp_unsigned("<", groups, self.value(GROUPS_AHEAD_MIN))
        return following, self.ir.select(few, self.value(0), self.ir.and_(share, self.value(-LINE)))

    def _fetch_ahead(self, following: Value, share: Value, first: Value) -> None:
        """Let the part of the next tree be fetched that falls to the group of rows from `first`."""
        plan = self._plan
        by_place = self.ir.icmp_unsigned("!=", plan[Plan.KIND], self.value(Kind.ROWS))
        values = self.ir.select(by_place, plan[Plan.VALUES], plan[Plan.NODES])
        begin = self.add(following, self.times(self.ir.udiv(first, self.value(LANES)), share))
        with self.counting(begin, self.add(begin, share), LINE) as place:
            for table in (plan[Plan.NODES], values):
                self.fetch(table, place, WORD)

    def _walk(self, starts: Sequence[Value], cells: Sequence[Value]) -> list[Value]:
        """Return the leaves that walks from some nodes end in."""
        places = [self.variable(I64, start) for start in starts]
        head, body, after = (self.ir.append_basic_block() for _ in range(3))
        self.ir.branch(head)
        self.ir.position_at_end(head)
        nodes = [self._node(self.get(place)) for place in places]
        all_of_them = nodes[0]
        for node in nodes[1:]:
            all_of_them = self.ir.and_(all_of_them, node)
        ranks = self.ir.and_(all_of_them, self.value(LEAF_RANK << 16))
        arrived = self.ir.icmp_unsigned("==", ranks, self.value(LEAF_RANK << 16))
        self.ir.cbranch(arrived, after, body)
        self.ir.position_at_end(body)
        here = [self._step(node, cell) for node, cell in zip(nodes, cells, strict=True)]
        for _ in range(STEPS_UNASKED):
            here = [self._step(self._node(place), cell) for place, cell in zip(here, cells, strict=True)]
        for value, place in zip(here, places, strict=True):
            self.ir.store(value, place)
        self.ir.branch(head)
        self.ir.position_at_end(after)
        return [self.get(place) for place in places]

    def _node(self, place: Value) -> Value:
        return self.load(I64, self._plan[Plan.NODES], place, WORD)

    def _step(self, node: Value, cells: Value) -> Value:
        """Return the child of a node that a row goes to."""
        column = self.ir.and_(node, self.value(0xFFFF))
        right = self.ir.icmp_unsigned(
            "<", self.ir.trunc(node, I32), self.load(I32, cells, column, CELL_BYTES)
        )
        return self.add(self.ir.lshr(node, self.value(32)), self.wide(right))

    # ---- adding up

    def _add_row(self, tree: Value, leaves: Sequence[Value], sums: Value) -> None:
        """Add what LANES trees, in their order, say about one row."""
        plan = self._plan
        with self.case(plan[Plan.KIND], Kind.ONE):
            total = self.load(F64, sums)
            for leaf in leaves:
                total = self.ir.fadd(total, self.load(F64, plan[Plan.VALUES], leaf, WORD))
            self.store(total, sums)
        with self.case(plan[Plan.KIND], Kind.TARGETS):
            for lane, leaf in enumerate(leaves):
                self._add_to_target(self.add(tree, lane), leaf, sums)
        with self.case(plan[Plan.KIND], Kind.ROWS):
            rows = [self._value_row(leaf) for leaf in leaves]
            with self.counting(0, plan[Plan.OUTPUTS]) as output:
                total = self.load(F64, sums, output, WORD)
                for row in rows:
                    total = self.ir.fadd(total, self.load(F64, row, output, WORD))
                self.store(total, sums, output, WORD)

    def _add_group(self, tree: Value, leaves: Sequence[Value], sums: Value) -> None:
        """Add what one tree says about LANES rows."""
        plan = self._plan
        of_row = [self._sums(sums, self.value(lane)) for lane in range(LANES)]
        with self.case(plan[Plan.KIND], Kind.ONE):
            for leaf, place in zip(leaves, of_row, strict=True):
                value = self.load(F64, plan[Plan.VALUES], leaf, WORD)
                self.store(self.ir.fadd(self.load(F64, place), value), place)
        with self.case(plan[Plan.KIND], Kind.TARGETS):
            for leaf, place in zip(leaves, of_row, strict=True):
                self._add_to_target(tree, leaf, place)
        with self.case(plan[Plan.KIND], Kind.ROWS):
            for leaf, place in zip(leaves, of_row, strict=True):
                row = self._value_row(leaf)
                with self.counting(0, plan[Plan.OUTPUTS]) as output:
                    total = self.load(F64, place, output, WORD)
                    self.store(self.ir.fadd(total, self.load(F64, row, output, WORD)), place, output, WORD)

    def _add_to_target(self, tree: Value, leaf: Value, sums: Value) -> None:
        target = self.wide(self.load(I32, self._plan[Plan.TARGETS], tree, 4))
        value = self.load(F64, self._plan[Plan.VALUES], leaf, WORD)
        self.store(self.ir.fadd(self.load(F64, sums, target, WORD), value), sums, target, WORD)

    def _value_row(self, leaf: Value) -> Value:
        row = self.wide(self.load(I32, self._plan[Plan.LEAVES], leaf, 4))
        return self.add(self._plan[Plan.VALUES], self.times(self.times(row, self._plan[Plan.OUTPUTS]), WORD))

    # ---- what comes after

    def _finish(self, sums: Value, rows: Value, start: Value) -> None:
        """Turn the sums of a block, whose first row is `start`, into answers."""
        plan = self._plan
        with self.case(plan[Plan.FINISH], Finish.MEAN):
            self._divide(sums, rows)
        with self.case(plan[Plan.FINISH], Finish.LOGISTIC):
            self._logistic(sums, rows, start)
        with self.case(plan[Plan.FINISH], Finish.MEAN_CLASSES):
            self._divide(sums, rows)
            with self.counting(0, rows) as row:
                place, _ = self._largest(self._sums(sums, row))
                self.store(place, self._first, self.add(start, row), WORD)
        with self.case(plan[Plan.FINISH], Finish.SOFTMAX), self.counting(0, rows) as row:
            place = self._softmax(self._sums(sums, row))
            self.store(place, self._first, self.add(start, row), WORD)
        with self.case(plan[Plan.FINISH], Finish.EXPONENTIAL), self.counting(0, rows) as row:
            here = self._sums(sums, row)
            with self.counting(0, plan[Plan.OUTPUTS]) as output:
                power = self._exponential(self.load(F64, here, output, WORD))
                self.store(power, here, output, WORD)

    def _softmax(self, numbers: Value) -> Value:
        """Turn numbers into their softmax, and return the place of the largest."""
        place, largest = self._largest(numbers)
        even, odd = self.variable(F64, 0.0), self.variable(F64, 0.0)
        parity = self.ir.and_(self._plan[Plan.PAIRS], self.value(1))
        outputs = self._plan[Plan.OUTPUTS]
        with self.counting(0, outputs) as output:
            power = self._exponential(self.ir.fsub(self.load(F64, numbers, output, WORD), largest))
            self.store(power, numbers, output, WORD)
            to_odd = self.ir.icmp_unsigned("!=", self.ir.and_(output, parity), self.value(0))
            one, other = self.get(even, F64), self.get(odd, F64)
            self.ir.store(self.ir.select(to_odd, one, self.ir.fadd(one, power)), even)
            self.ir.store(self.ir.select(to_odd, self.ir.fadd(other, power), other), odd)
        total = self.ir.fadd(self.get(even, F64), self.get(odd, F64))
        with self.counting(0, outputs) as output:
            share = self.ir.fdiv(self.load(F64, numbers, output, WORD), total)
            self.store(share, numbers, output, WORD)
        return place

    def _logistic(self, sums: Value, rows: Value, start: Value) -> None:
        """Write label and both probabilities, as ONNX Runtime's Softmax of (0, sum) gives them."""
        with self.counting(0, rows) as row:
            place = self._sums(sums, row)
            total = self.ir.fmul(self.load(F64, place), self._number(Number.SCALE))
            zero, one = self.value(0.0, F64), self._number(Number.ONE)
            positive = self.ir.fcmp_ordered(">", total, zero)
            tie = self.ir.icmp_unsigned("!=", self._plan[Plan.TIE], self.value(0))
            tied = self.ir.and_(tie, self.ir.fcmp_ordered("==", total, zero))
            self.store(self.wide(self.ir.or_(positive, tied)), self._first, self.add(start, row), WORD)
            power = self._exponential(self.ir.select(positive, self.ir.fsub(zero, total), total))
            pair = self.ir.select(positive, power, one), self.ir.select(positive, one, power)
            whole = self.ir.fadd(*pair)
            before = self.ir.sub(place, self.value(WORD))
            for number, each in enumerate(pair):
                self.store(self.ir.fdiv(each, whole), before, number, WORD)

    def _exponential(self, exponent: Value) -> Value:
        """Return e to the power of a number, with the bits of Eigen's double packets."""
        code, of = self.ir, self._number
        lowest, highest = of(Number.LOWEST), of(Number.HIGHEST)
        x = code.select(code.fcmp_ordered(">", exponent, lowest), exponent, lowest)
        x = code.select(code.fcmp_ordered("<", x, highest), x, highest)
        scaled = code.fadd(code.fmul(x, of(Number.LOG2_E)), of(Number.HALF))
        power = code.fptosi(scaled, I64)
        beyond = code.fcmp_ordered(">", code.sitofp(power, F64), scaled)
        power = code.sub(power, self.wide(beyond))  # rounded down
        whole = code.sitofp(power, F64)
        rest = code.fsub(x, code.fmul(whole, of(Number.LN2_HIGH)))
        rest = code.fsub(rest, code.fmul(whole, of(Number.LN2_LOW)))
        square = code.fmul(rest, rest)
        upper = self._polynomial(square, Number.P0, Number.P1, Number.ONE)
        upper = code.fmul(upper, rest)
        lower = self._polynomial(square, Number.Q0, Number.Q1, Number.Q2, Number.TWO)
        result = code.fdiv(upper, code.fsub(lower, upper))
        result = code.fadd(code.fmul(of(Number.TWO), result), of(Number.ONE))
        quarter = code.ashr(power, self.value(2))
        for step in (quarter, quarter, quarter, code.sub(power, code.mul(quarter, self.value(3)))):
            bits = code.shl(self.add(step, EXPONENT_BIAS), self.value(EXPONENT_SHIFT))
            result = code.fmul(result, code.bitcast(bits, F64))
        return result

    def _polynomial(self, x: Value, *terms: Number) -> Value:
        total = self._number(terms[0])
        for term in terms[1:]:
            total = self.ir.fadd(self.ir.fmul(total, x), self._number(term))
        return total

    def _number(self, which: Number) -> Value:
        return self.load(F64, self._plan[Plan.NUMBERS], int(which), WORD)

    def _divide(self, sums: Value, rows: Value) -> None:
        divisor = self._number(Number.SCALE)
        with self.counting(0, rows) as row:
            here = self._sums(sums, row)
            with self.counting(0, self._plan[Plan.OUTPUTS]) as output:
                mean = self.ir.fdiv(self.load(F64, here, output, WORD), divisor)
                self.store(mean, here, output, WORD)

    def _largest(self, numbers: Value) -> tuple[Value, Value]:
        """Return the place of the largest number, the first of equal ones, and the number."""
        place, largest = self.variable(I64, 0), self.variable(F64, self.load(F64, numbers))
        with self.counting(1, self._plan[Plan.OUTPUTS]) as output:
            number = self.load(F64, numbers, output, WORD)
            more = self.ir.fcmp_ordered(">", number, self.get(largest, F64))
            self.ir.store(self.ir.select(more, output, self.get(place)), place)
            self.ir.store(self.ir.select(more, number, self.get(largest, F64)), largest)
        return self.get(place), self.get(largest, F64)
