"""What the control plane asks of the place where jobs run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from modelport.engines.canary import Outcome


class Engine(Protocol):
    """Runs jobs and first loads of models. Implemented by `engines.local`."""

    def start(self, folder: Path, on_exit: Callable[[], None]) -> None:
        """Start the job of a folder, which holds `job.json`; nothing happens while it runs.

        Args:
            folder: The job's.
            on_exit: Called, from any thread, when the process ends. A job found again has nobody who would.

        Raises:
            OSError: The process cannot be started.
        """
        ...

    def alive(self, folder: Path) -> bool:
        """Return whether the folder's job runs, whoever started it."""
        ...

    def stop(self, folder: Path) -> None:
        """Ask a job to stop, durably; by force when it was asked long ago. Called until it is not alive."""
        ...

    def interrupt(self, folders: Iterable[Path]) -> None:
        """Let jobs save what they have and end without a result, so that they are resumed later."""
        ...

    def try_model(self, digest: str) -> str | None:
        """Load and warm up a model once, in a process that it may crash.

        Args:
            digest: SHA-256 of the model's manifest.

        Returns:
            None when it works, else the reason in plain words.
        """
        ...

    def open_archive(self, digest: str, code: str) -> Outcome:
        """Look into an archive, in a process that may die of it, and store the bundle of the model in it.

        Args:
            digest: SHA-256 of the archive.
            code: When it is code of its own instead, which is left unpacked; see `domain.registry.CodeUse`.

        Returns:
            What it said has the `digest` of the bundle's manifest, or a true `code`.
        """
        ...
