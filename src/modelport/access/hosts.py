"""Whether a request was meant for this server: Host, Origin and Sec-Fetch-Site.

A web page on the internet can make a browser send requests to a loopback port, under a name of its own
that it lets resolve to 127.0.0.1 (DNS rebinding). Such a request betrays itself by its Host or Origin.

Source: Fetch Metadata (W3C), RFC 9110 section 7.4 (421 Misdirected Request).
"""

from __future__ import annotations

import functools
import ipaddress
import re

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_HOST = re.compile(r"(?:\[(?P<six>[0-9a-fA-F:.]{2,45})\]|(?P<name>[a-zA-Z0-9._-]{1,253}))(?::[0-9]{0,5})?")
_ORIGIN = re.compile(r"https?://(?P<host>[^/?#@]+)", re.IGNORECASE)


def parse_allowed(setting: str, bound: str = "") -> frozenset[str]:
    """Return the names accepted besides loopback's own.

    Args:
        setting: `allowed_hosts`: names, addresses or `*.suffix` patterns, separated by commas.
        bound: The address the port is bound to; accepted too unless it is a wildcard.
    """
    names = {name.strip().lower().rstrip(".") for name in setting.split(",")}
    if bound not in ("0.0.0.0", "::"):  # noqa: S104 - compared, never bound
        names.add(bound.lower())
    return frozenset(names - {""})


@functools.lru_cache(maxsize=512)  # both ports ask on every request, nearly always with the same headers
def check_host(host_header: str | None, origin_header: str | None, allowed: frozenset[str]) -> str | None:
    """Return why a request must be refused with 421, or None when it may pass.

    Args:
        host_header: Value of Host; None when there was none.
        origin_header: Value of Origin; None when there was none, as in everything but browsers.
        allowed: Further names, from `parse_allowed`.
    """
    if not host_header:
        return "the request has no Host header"
    if not _known(host_header, allowed):
        return f"Host {host_header[:100]!r} is not a name of this server"
    if origin_header is not None:
        origin = _ORIGIN.fullmatch(origin_header)
        if origin is None or not _known(origin["host"], allowed):
            return f"Origin {origin_header[:100]!r} is not a page of this server"
    return None


def check_host_form(host_header: str) -> str | None:
    """Return why a request must be refused with 421 where every name is this server's, or None.

    Args:
        host_header: Value of Host.
    """
    return None if _HOST.fullmatch(host_header) else f"Host {host_header[:100]!r} is no host name"


def check_cross_site(method: str, fetch_site: str | None) -> str | None:
    """Return why a request that changes something must be refused, or None when it may pass.

    Args:
        method: HTTP method, upper case.
        fetch_site: Value of Sec-Fetch-Site; None when there was none, as in everything but browsers.
    """
    if method not in SAFE_METHODS and fetch_site == "cross-site":
        return f"{method} was sent by a page of another site"
    return None


def is_loopback(name: str) -> bool:
    """Return whether a host name or address, without a port, means this machine alone."""
    name = name.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback


def _known(host: str, allowed: frozenset[str]) -> bool:
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    name = (match["six"] or match["name"]).lower().rstrip(".")
    if is_loopback(name) or name in allowed:
        return True
    parent = name
    while "." in parent:
        parent = parent.partition(".")[2]
        if f"*.{parent}" in allowed:
            return True
    return False
