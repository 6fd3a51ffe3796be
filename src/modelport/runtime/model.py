"""A registered model in memory: what a worker, a batch job and a proof all run."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from modelport.domain.errors import InvalidInput
from modelport.domain.signature import Signature, Task
from modelport.runtime import invariance
from modelport.runtime.cells import Cell, cells_of
from modelport.runtime.outputs import Outputs
from modelport.runtime.session import Matrix, Run, Session, Stop
from modelport.wire import manifest as bundle
from modelport.wire.signature import decode_signature

if TYPE_CHECKING:
    from modelport.runtime.codecs import Codecs, Decoder, Encoder, Unpacking

ONNX_RUNTIME = "onnxruntime"
LABEL = "label"
PROBABILITIES = "probabilities"
PREDICTIONS = "predictions"
ELEMENT = {LABEL: "tensor(int64)", PROBABILITIES: "tensor(double)", PREDICTIONS: "tensor(double)"}


class Artifacts(Protocol):
    """Where bundles are read from; content is verified against its digest."""

    def read(self, digest: str) -> bytes:
        """Return the verified content."""
        ...

    def path(self, digest: str) -> Path:
        """Return a file with the verified content."""
        ...


class LoadedModel:
    """A serving graph with its signature and codecs.

    Args:
        signature: What it takes and gives.
        graph: The serving graph, a file or its bytes.
        digest: SHA-256 of the bundle's manifest; empty for a model that is not stored yet.
        batch_difference: How much its answers depend on the rows beside them, as far as known.

    Raises:
        InvalidInput: The graph cannot be loaded, or is not one of this signature.
    """

    def __init__(
        self, signature: Signature, graph: Path | bytes, *, digest: str = "", batch_difference: float = 0.0
    ) -> None:
        self.signature = signature
        self.digest = digest
        self.batch_difference = batch_difference
        self._session = Session(graph)
        self.graph_bytes = len(graph) if isinstance(graph, bytes) else graph.stat().st_size
        self._names = _outputs_of(signature)
        self._check_graph()
        self._classifies = signature.output.task is Task.CLASSIFICATION
        self._run: Run = self._session.run

        self._kernels: Path | None = None
        self.executor = ONNX_RUNTIME
        self.why = ""

    @classmethod
    def load(cls, artifacts: Artifacts, digest: str, kernels: Path | None = None) -> Self:
        """Load a stored model, and decide what executes it.

        Args:
            artifacts: The artifact store.
            digest: SHA-256 of the manifest.
            kernels: Folder of compiled kernels (`runtime/compiled`); None: it does without.

        Raises:
            NotFound: The store lacks the manifest or a file of it.
            Corrupted: A file is not what was stored.
            InvalidInput: The bundle cannot be read or run.
        """
        manifest = bundle.decode_manifest(artifacts.read(digest))
        signature = decode_signature(artifacts.read(manifest.files[bundle.SIGNATURE]))
        graph = artifacts.path(manifest.files[bundle.SERVING_GRAPH])
        model = cls(signature, graph, digest=digest, batch_difference=manifest.batch_difference)
        if kernels is not None:
            model.speed_up(graph, kernels)
        return model

    def speed_up(self, graph: Path | bytes, kernels: Path) -> None:
        """Let kernels read rows, and walk trees where that gives the same bits and is faster.

        Args:
            graph: The serving graph, as it was loaded.
            kernels: Folder of compiled kernels.
        """
        from modelport.runtime.compiled.machine_code import Unusable
        from modelport.runtime.trees.choosing import choose, read_if_trees
        from modelport.runtime.trees.loading import load_predict

        self._kernels = kernels
        content = graph if isinstance(graph, bytes) else read_if_trees(graph)
        if content is None:
            return
        try:
            predict = load_predict(kernels)
        except Unusable as error:
            self.why = str(error)
            return
        choice = choose(self._session, content, self._names, self.signature, predict)
        self._run, self.executor, self.why = choice.run, choice.executor, choice.why

    @property
    def features(self) -> int:
        """Columns of the matrix."""
        return self._session.features

    def new_stop(self) -> Stop:
        """Return what ends one `run` from another thread."""
        return Stop()

    def run(self, matrix: Matrix, stop: Stop | None = None) -> Outputs:
        """Answer N rows.

        Args:
            matrix: float64 or float32 `[N, features]`, C-contiguous, coded as `domain/signature.py`
                describes.
            stop: Ends the call from another thread; None: nothing does.

        Returns:
            One answer per row, in order.
        """
        found = self._run(self._names, matrix, stop)
        if not self._classifies:
            return Outputs(predictions=found[0])
        return Outputs(found[0], found[1] if len(found) > 1 else None)

    @cached_property
    def _codecs(self) -> Codecs:
        """Made when first asked for: a batch job has columns, and no use for them."""
        from modelport.runtime.codecs import Codecs

        single = self._session.element == np.float32
        return Codecs(self.signature, single=single, kernels=self._kernels)

    def decoder_for(
        self, content_type: str | None, encoding: str | None = None, limits: Unpacking | None = None
    ) -> Decoder:
        """Return the call that turns a body of this Content-Type into rows. See `codecs.Codecs`."""
        return self._codecs.decoder_for(content_type, encoding, limits)

    def encoder_for(self, accept: str | None) -> Encoder:
        """Return the reply writer for this Accept header. See `codecs.Codecs`."""
        return self._codecs.encoder_for(accept)

    def ordinary_rows(self, count: int) -> NDArray[np.float64]:
        """Return rows as requests have them, all different, always the same ones.

        Args:
            count: How many.

        Returns:
            float64 `[count, features]`, within the ranges and codes that the signature knows.
        """
        shares = np.random.default_rng(0).random((count, self.features))
        columns = cells_of(self.signature)
        return np.array(
            [[c.ordinary(s) for c, s in zip(columns, row, strict=True)] for row in shares.tolist()]
        )

    def warm_up(self, matrix: NDArray[np.float64] | None = None) -> None:
        """Run the model and its JSON codec once, so that the first request pays for nothing lazy.

        Args:
            matrix: Rows to run, float64 `[N, features]`, N at least 1; None makes plain ones from
                the signature.

        Raises:
            InvalidInput: The graph fails on them, or answers in another shape than the signature says.
        """
        rows = _plain_rows(cells_of(self.signature)) if matrix is None else np.ascontiguousarray(matrix)
        for block in (rows[:1], rows):
            try:
                outputs = self.run(block)
            except Exception as error:
                # whatever the graph raises means the same: it does not run
                raise InvalidInput(
                    f"the model fails on its warm-up rows: {error}", hint="register the model again"
                ) from error
            self._check_shapes(outputs, len(block))
            self.encoder_for(None).encode(outputs, 0, len(block))
        self.decoder_for(None)

    def compare_batches(self, now: Callable[[], float]) -> None:
        """Ask some ordinary rows alone and among others, and raise `batch_difference` by what is found.

        The registration asked the rows of the proof; this asks the machine that serves, whose processor may
        compute in another way. A model that fails on these rows is taken for one that depends on them.

        Args:
            now: Monotonic seconds.
        """
        try:
            rows = self.ordinary_rows(invariance.ROWS)
            found = invariance.measure_batch_difference(self.run, rows, now, hurry=True)
        except Exception:  # noqa: BLE001 - whatever the graph raises, nothing is known
            found = invariance.OTHER_KIND
        self.batch_difference = max(self.batch_difference, found)

    def _check_graph(self) -> None:
        if self.features != len(self.signature.features):
            raise InvalidInput(
                f"the serving graph takes {self.features} features, "
                f"its signature names {len(self.signature.features)}",
                hint="register the model again",
            )
        for name in self._names:
            found = self._session.outputs.get(name, "nothing")
            if found != ELEMENT[name]:
                raise InvalidInput(
                    f"the serving graph gives {found} for {name!r}, expected {ELEMENT[name]}",
                    hint="register the model again",
                )

    def _check_shapes(self, outputs: Outputs, rows: int) -> None:
        output = self.signature.output
        wanted: dict[str, tuple[tuple[int, ...], NDArray[np.float64] | NDArray[np.int64] | None]]
        if self._classifies:
            wanted = {LABEL: ((rows,), outputs.label)}
            if output.probabilities:
                wanted[PROBABILITIES] = ((rows, len(output.labels)), outputs.probabilities)
        else:
            wanted = {PREDICTIONS: ((rows, len(output.targets)), outputs.predictions)}
        for name, (shape, array) in wanted.items():
            if array is None or array.shape != shape:
                raise InvalidInput(
                    f"for {rows} rows the model gives {name!r} of shape "
                    f"{None if array is None else array.shape}, expected {shape}",
                    hint="register the model again",
                )


def _outputs_of(signature: Signature) -> list[str]:
    if signature.output.task is Task.REGRESSION:
        return [PREDICTIONS]
    return [LABEL, PROBABILITIES] if signature.output.probabilities else [LABEL]


def _plain_rows(cells: tuple[Cell, ...]) -> NDArray[np.float64]:
    """Return three ordinary rows: the middle of what was seen, code 0 for coded features."""
    row = [cell.plain() for cell in cells]
    return np.array([row] * 3, np.float64).reshape(3, len(cells))
