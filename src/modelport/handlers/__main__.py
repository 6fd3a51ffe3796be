"""Run by path: `python -I …/handlers CONFIG_FD`. The room is loaded under a name that no user's code has."""

import importlib.util
import sys
from pathlib import Path

ROOM = "modelport_handlers"


def main() -> int:
    """Load the room, then be a replica."""
    folder = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if not entry or Path(entry).resolve() != folder]
    spec = importlib.util.spec_from_file_location(
        ROOM, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None and spec.loader is not None  # noqa: S101, PT018 - the file is there: it lies beside this one
    room = importlib.util.module_from_spec(spec)
    sys.modules[ROOM] = room
    spec.loader.exec_module(room)
    host = importlib.import_module(f"{ROOM}.host")
    return int(host.run(int(sys.argv[1])))


if __name__ == "__main__":
    sys.exit(main())
