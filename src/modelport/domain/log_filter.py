"""Filter patterns over lines of text. Pure.

Source: CloudWatch Logs, filter pattern syntax, unstructured log events: all words must be there,
`"phrases"` too, `-word` must not; of `?word ?word` one must, and those count for nothing
beside other terms. Case matters.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from modelport.domain.errors import InvalidInput

STRUCTURED = "{}[]"
QUOTE = '"'
_TERM = re.compile(r'\s*([-?]?)(?:"((?:[^"\\]|\\.)*)"(?=\s|$)|([^\s"]+)(?=\s|$))\s*', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which lines are wanted; with no term at all: every one.

    Args:
        required: Each must be in the line.
        excluded: None may be.
        optional: One must be, where there are no other terms.
    """

    required: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()

    def matches(self, text: str) -> bool:
        """Return whether a line is wanted."""
        if self.required or self.excluded:
            return all(term in text for term in self.required) and not any(
                term in text for term in self.excluded
            )
        return not self.optional or any(term in text for term in self.optional)


def read_filter(pattern: str) -> LogFilter:
    """Read a pattern.

    Raises:
        InvalidInput: It is damaged, or of a kind that is not offered: over JSON, over columns, `%regex%`.
    """
    terms: dict[str, list[str]] = {"": [], "-": [], "?": []}
    place = len(pattern) - len(pattern.lstrip())
    while place < len(pattern):
        found = _TERM.match(pattern, place)
        if found is None:
            raise InvalidInput(
                f"the filter pattern has a quote at {place} that does not end, or not before a space",
                hint=r"write \" for a quote inside of a phrase",
            )
        sign, phrase, word = found.groups()
        if word is not None:
            _check_word(word)
        term = word if phrase is None else _ESCAPED.sub(r"\1", phrase)
        if term:
            terms[sign].append(term)
        place = found.end()
    return LogFilter(tuple(terms[""]), tuple(terms["-"]), tuple(terms["?"]))


def _check_word(word: str) -> None:
    if set(word) & set(STRUCTURED):
        raise InvalidInput(
            f"the filter pattern has {word[:40]!r}: patterns over JSON or columns are not offered here",
            hint="use words and quoted phrases; a phrase may have brackets",
        )
    if len(word) > 1 and word.startswith("%") and word.endswith("%"):
        raise InvalidInput(
            f"the filter pattern has {word[:40]!r}: regular expressions are not offered here",
            hint="use words and quoted phrases",
        )
