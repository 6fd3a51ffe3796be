"""100 versions, none loaded before, are switched under a closed loop of 16 connections, half of them fresh.

.venv/bin/python bench/switching.py [SWITCHES]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fakes.harm import serve_truthfully, switch_repeatedly
from fakes.platform import Platform


def main(switches: int) -> None:
    with tempfile.TemporaryDirectory() as folder, Platform(Path(folder) / "home", workers=2) as platform:
        references = serve_truthfully(platform, versions=switches + 1)
        report = switch_repeatedly(platform, references, switches)
    print(f"{switches} switches in {report.seconds:.1f} s, {report.seconds / switches:.2f} s each")
    print(
        f"{report.answered} requests answered, {report.per_second:.0f}/s, "
        f"slowest {report.slowest_s * 1e3:.0f} ms"
    )
    print(f"failed {report.failed.total()} {dict(report.failed)}, misrouted {len(report.misrouted)}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
