"""Packed bodies that cannot be unpacked, or unpack to too much or to what no flights model can answer."""

from __future__ import annotations

import gzip
import json
import sys
import zlib

from fakes.malformed_case import JSON, Malformed
from fakes.signatures import FLIGHT

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PACKERS = {"gzip": gzip.compress, "deflate": zlib.compress, "zstd": zstd.compress}
FREE_BYTES = 1 << 20


def packed_cases() -> list[Malformed]:
    good = json.dumps({"instances": [FLIGHT]}).encode()
    bad = json.dumps({"instances": [FLIGHT, FLIGHT | {"weekday": 9}]}).encode()
    cases: list[Malformed] = []
    for encoding, pack in PACKERS.items():
        packed = pack(good)
        others = [PACKERS[other](good) for other in PACKERS if other != encoding]
        for name, body in (
            ("not packed", good),
            ("nothing", b""),
            ("cut short", packed[:-1]),
            ("cut in half", packed[:30]),
            ("its first byte", packed[:1]),
            ("another encoding", others[0]),
            ("the third encoding", others[1]),
            ("a byte changed", packed[:25] + bytes([packed[25] ^ 255]) + packed[26:]),
            ("a checksum changed", packed[:-2] + bytes([packed[-2] ^ 255]) + packed[-1:])
            if encoding != "zstd"
            else ("noise", b"(\xb5/\xfd" + bytes(range(99))),
            ("bytes behind it", packed + b"rest"),
            ("packed twice", pack(packed)),
            ("nothing, packed", pack(b"")),
        ):
            cases.append(Malformed(JSON, "encoding", f"{encoding}: {name}", body, encoding=encoding))
        cases.append(Malformed(JSON, "range", f"{encoding}: a bad row", pack(bad), 1, "weekday", encoding))
        for size in (FREE_BYTES + 1, 100 * FREE_BYTES):
            body = pack(b" " * size)
            cases.append(Malformed(JSON, "size", f"{encoding}: {size} blanks", body, encoding=encoding))
    cases += [
        Malformed(JSON, "size", f"{name}: 5,000 members", body, encoding=name)
        for name, body in _many_members().items()
    ]
    big = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 27})
    announced = big.compress(b" " * 10, mode=zstd.ZstdCompressor.FLUSH_BLOCK) + big.flush()
    cases.append(Malformed(JSON, "size", "zstd: a window of 128 MiB", announced, encoding="zstd"))
    return cases


def _many_members() -> dict[str, bytes]:
    return {name: PACKERS[name](b"") * 5000 for name in ("gzip", "zstd")}
