"""A conversion put to the proof, as registration does it: adversarial rows, both graphs, the original."""

from __future__ import annotations

import numpy as np
import onnxruntime

from fakes.alike import SIZES, assert_alike, each_alone
from modelport.evaluation.parity import allowed_difference, bar_of, compare
from modelport.evaluation.probes import accepts, make_probes
from modelport.formats import convert
from modelport.formats.conversion import Answers
from modelport.formats.front import inputs_of, matrix_of


def prove(model, example, *, rows_max=1500, refusals=12, **options):
    """Convert, ask both sides about adversarial rows, and assert the family's bar.

    Args:
        model: Fitted.
        example: Rows as it was fitted on.
        rows_max: Most probe rows.
        refusals: About how many of the rows that the signature refuses the original must refuse too; 0 for
            signatures that are stricter on purpose.
        options: Of `convert`.

    Returns:
        The conversion and the comparison.
    """
    conversion = convert(model, example, **options)
    signature, original = conversion.signature, conversion.original
    probes = make_probes(signature, original.columns(example), conversion.thresholds, rows_max=rows_max)
    accepted = np.array(
        [
            all(accepts(feature, probes.columns[feature.name][row]) for feature in signature.features)
            for row in range(len(probes))
        ]
    )
    kept = probes.take(np.flatnonzero(accepted)).columns
    answers = original.answer(original.build(kept))
    served = serve(conversion, kept)
    scale = conversion.scale(matrix_of(signature, kept)) if conversion.scale else None
    allowed = allowed_difference(bar_of(conversion.family), answers, scale)
    found = compare(answers, served, allowed, margin=answers.margin)
    assert found.holds, (found, {name: column[found.worst] for name, column in kept.items()})
    assert_alone_as_together(conversion, kept)
    assert_published(conversion, kept, served)
    refused = np.flatnonzero(~accepted) if refusals else np.empty(0, dtype=np.intp)
    for row in refused[:: max(1, len(refused) // max(1, refusals))]:
        assert_refused(conversion, probes.take(np.array([row])).columns)
    return conversion, found


OURS = ("tree", "forest", "boosting", "boosting-log", "linear")


def assert_alone_as_together(conversion, columns, *, families=OURS, rows_max=64):
    """Assert that a model of these families answers a row with the same bits wherever it stands."""
    if conversion.family not in families:
        return
    matrix = matrix_of(conversion.signature, columns)
    matrix = matrix[:: -(-len(matrix) // rows_max)]
    session = open_session(conversion.serving)

    def run(rows):
        return _answers(session, rows)

    alone = each_alone(run, matrix)
    for start, count in enumerate(SIZES):
        assert_alike(run, matrix, alone, start, count)


def serve(conversion, columns):
    """Return what the serving graph answers."""
    return _answers(open_session(conversion.serving), matrix_of(conversion.signature, columns))


def _answers(session, matrix):
    names = [each.name for each in session.get_outputs()]
    found = dict(zip(names, session.run(None, {"matrix": matrix}), strict=True))
    return Answers(found.get("label"), found.get("probabilities"), found.get("predictions"))


def assert_published(conversion, columns, served):
    """Assert that the published graph answers the same, in words."""
    session = open_session(conversion.published)
    names = [each.name for each in session.get_outputs()]
    found = dict(zip(names, session.run(None, inputs_of(conversion.signature, columns)), strict=True))
    labels = conversion.signature.output.labels
    if served.label is not None:
        assert found["predictions"].tolist() == [labels[index] for index in served.label.tolist()]
    else:
        assert np.array_equal(found["predictions"], served.predictions, equal_nan=True)
    if served.probabilities is not None:
        assert np.array_equal(found["probabilities"], served.probabilities, equal_nan=True)


def assert_refused(conversion, columns):
    """Assert that the original refuses a row that the signature refuses."""
    rows = conversion.original.build(columns)
    try:
        conversion.original.answer(rows)
    except Exception:  # noqa: BLE001 - whatever the original raises, it refuses
        return
    raise AssertionError(f"the original takes what the signature refuses: {columns}")


def open_session(content):
    """Return a session with one thread, as workers have it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
