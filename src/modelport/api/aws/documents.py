"""The XML of AWS's older protocols: written from plain values, read without entities."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as ET

_DECLARED = re.compile(rb"<!\s*(DOCTYPE|ENTITY)", re.IGNORECASE)
_UNWRITABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def element(tag: str, content: Any, *, namespace: str = "") -> ET.Element:
    """Return an element.

    Args:
        tag: Its name.
        content: Text; a map of tags to contents; in it, a list repeats its tag, and None leaves it out.
        namespace: Of the whole document, where this is its root.
    """
    made = ET.Element(tag, {"xmlns": namespace} if namespace else {})
    if isinstance(content, Mapping):
        for name, inner in content.items():
            for item in inner if isinstance(inner, list | tuple) else [inner]:
                if item is not None:
                    made.append(element(name, item))
    else:
        made.text = _UNWRITABLE.sub("�", _word(content))
    return made


def render(root: ET.Element) -> bytes:
    """Return a document."""
    body: bytes = ET.tostring(root, encoding="utf-8")
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + body


def parse(body: bytes) -> ET.Element:
    """Read a document, its tags without their namespace.

    Raises:
        MalformedXml: It is none, or declares entities.
    """
    if _DECLARED.search(body):
        raise MalformedXml("the body declares a document type, which no request has")
    try:
        root = ET.fromstring(body)  # noqa: S314 (nothing is declared, so nothing expands)
    except ET.ParseError as error:
        raise MalformedXml(f"the body is not XML: {error}") from error
    for node in root.iter():
        node.tag = node.tag.rpartition("}")[2]
    return root


class MalformedXml(ValueError):
    """A body is not the XML it should be."""


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
