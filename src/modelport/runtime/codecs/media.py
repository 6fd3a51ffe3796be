"""Media types and Accept headers. Source: RFC 9110, sections 8.3.1 and 12.5.1."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - a grammar's word, no secret
MEDIA_TYPE = re.compile(rf"\s*({TOKEN})/({TOKEN})\s*", re.ASCII)
PARAMETER = re.compile(rf';\s*(?:({TOKEN})=({TOKEN}|"(?:[^"\\]|\\.)*")\s*)?', re.ASCII)
QUALITY = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?", re.ASCII)
HEADER_LENGTH_MAX = 1000


@dataclass(frozen=True, slots=True)
class MediaType:
    """A media type in lower case with its parameters."""

    name: str
    parameters: Mapping[str, str]


def parse_media_type(text: str) -> MediaType | None:
    """Read `type/subtype; name=value`, None where it is malformed."""
    head = MEDIA_TYPE.match(text) if len(text) <= HEADER_LENGTH_MAX else None
    if head is None:
        return None
    parameters: dict[str, str] = {}
    at = head.end()
    while at < len(text):
        part = PARAMETER.match(text, at)
        if part is None:
            return None
        if part[1]:
            parameters[part[1].lower()] = part[2].strip('"')
        at = part.end()
    return MediaType(f"{head[1]}/{head[2]}".lower(), parameters)


def choose(accept: str, offered: Sequence[str]) -> str | None:
    """Return the offered type that an Accept header ranks highest.

    Args:
        accept: The header's value; empty accepts anything.
        offered: What we can write, the preferred first; it also settles ties.

    Returns:
        One of `offered`, or None where the header accepts none of them or is malformed.
    """
    if not accept.strip():
        return offered[0]
    ranges: list[tuple[str, float]] = []
    for part in accept.split(","):
        if not part.strip():
            continue
        media = parse_media_type(part)
        weight = media.parameters.get("q", "1") if media is not None else ""
        if media is None or not QUALITY.fullmatch(weight):
            return None
        ranges.append((media.name, float(weight)))
    best, best_quality = None, 0.0
    for name in offered:
        quality = _quality(name, ranges)
        if quality > best_quality:
            best, best_quality = name, quality
    return best


def _quality(name: str, ranges: list[tuple[str, float]]) -> float:
    """Return how much a type is wanted: the most specific range that matches it decides."""
    kind = name.partition("/")[0]
    for pattern in (name, f"{kind}/*", "*/*"):
        for accepted, quality in ranges:
            if accepted == pattern:
                return quality
    return 0.0
