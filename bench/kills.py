"""kill -9 of a worker, the control process and the supervisor, 20 times each, during work.

.venv/bin/python bench/kills.py [ROUNDS]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fakes.harm import Harm, kill_repeatedly, kill_supervisor_repeatedly, serve_truthfully
from fakes.platform import Platform


def main(rounds: int) -> None:
    for name in ("inference-0", "control", "supervisor"):
        with tempfile.TemporaryDirectory() as folder, Platform(Path(folder) / "home") as platform:
            serve_truthfully(platform)
            if name == "supervisor":
                print_harm(name, kill_supervisor_repeatedly(platform, rounds))
            else:
                print_harm(name, kill_repeatedly(platform, name, rounds))


def print_harm(name: str, harm: Harm) -> None:
    times = sorted(harm.back_after_s)
    print(
        f"{name}: {len(times)} kills; ready again after {statistics.median(times):.2f} s, "
        f"at most {times[-1]:.2f} s"
    )
    print(f"  wishes acknowledged {harm.acknowledged}, lost {len(harm.lost)}")
    load = harm.load
    if load.answered:
        print(
            f"  requests answered {load.answered} ({load.per_second:.0f}/s), "
            f"failed {load.failed.total()} {dict(load.failed)}, misrouted {len(load.misrouted)}"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
