"""`application/json` replies.

    {"predictions": ["late", …], "probabilities": [[0.2, 0.8], …], "classes": ["on time", "late"]}

`probabilities` and `classes` stand there where the model gives probabilities. A regression of one target
gives a list of numbers, of several a list of lists. Floats are written with the fewest digits that read back
as the same float64. JSON has no NaN and no infinity: where a model answers one, `null` is written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import orjson

from modelport.domain.signature import Output, Task
from modelport.runtime.outputs import Outputs

ARRAY_VALUES_MIN = 512  # from here orjson on the array itself is faster than lists of Python numbers
to_json = msgspec.json.Encoder().encode


class JsonEncoder:
    """Writes JSON replies.

    Args:
        output: What the model answers.
    """

    content_type = "application/json"
    off_loop = False

    def __init__(self, output: Output) -> None:
        self._words = [to_json(label) for label in output.labels]
        self._tail = b'],"classes":%b}' % to_json(output.labels)
        self._columns = max(1, len(output.labels) if output.probabilities else len(output.targets))
        self.encode: Callable[[Outputs, int, int], bytes]
        if output.task is Task.REGRESSION:
            self.encode = self._numbers
        else:
            self.encode = self._likely_words if output.probabilities else self._bare_words

    def _likely_words(self, outputs: Outputs, start: int, stop: int) -> bytes:
        words = self._words
        if stop - start == 1:
            labels, rows = outputs.lists()
            return b'{"predictions":[%b],"probabilities":[%b%b' % (
                words[labels[start]],
                to_json(rows[start]),  # type: ignore[index]
                self._tail,
            )
        if (stop - start) * self._columns < ARRAY_VALUES_MIN:
            labels, rows = outputs.lists()
            inner = to_json(rows[start:stop])  # type: ignore[index]
            chosen = labels[start:stop]
        else:
            part = outputs.rows(start, stop)
            inner = _array(part.probabilities)
            chosen = part.label.tolist()  # type: ignore[union-attr]
        return b'{"predictions":[%b],"probabilities":%b%b' % (
            b",".join([words[label] for label in chosen]),
            inner[:-1],
            self._tail,
        )

    def _bare_words(self, outputs: Outputs, start: int, stop: int) -> bytes:
        words = self._words
        labels = outputs.lists()[0][start:stop]
        return b'{"predictions":[%b]}' % b",".join([words[label] for label in labels])

    def _numbers(self, outputs: Outputs, start: int, stop: int) -> bytes:
        count = stop - start
        if count * self._columns >= ARRAY_VALUES_MIN:
            part = outputs.rows(start, stop).predictions
            assert part is not None  # noqa: S101 - a regression's outputs hold predictions
            return b'{"predictions":%b}' % _array(part.reshape(-1) if self._columns == 1 else part)
        rows = outputs.lists()[0]
        if self._columns > 1:
            return b'{"predictions":%b}' % to_json(rows[start:stop])
        if count == 1:
            return b'{"predictions":%b}' % to_json(rows[start])
        return b'{"predictions":%b}' % to_json([row[0] for row in rows[start:stop]])


def _array(values: Any) -> bytes:
    return orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY)
