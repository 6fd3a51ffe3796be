"""Where a conversion starts: the framework is told by the model's own class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelport.domain.errors import ConversionFailed
from modelport.formats.conversion import Conversion
from modelport.plugins import Plug, Plugs

FRAMEWORKS = Plugs(
    "framework",
    {"sklearn": Plug("modelport.formats.scikit.converting:convert_sklearn", "sklearn")},
)
"""Name of a framework's package to the function that converts its models."""


def convert(
    model: Any,
    example: Any,
    *,
    units: Mapping[str, str] | None = None,
    output_unit: str | None = None,
) -> Conversion:
    """Convert a fitted model, with rows of its training data as the example.

    Args:
        model: Fitted; of a framework in `FRAMEWORKS`.
        example: Rows as the model was fitted on, without the target: a DataFrame, or an array `[N, F]`. They
            tell names, types and seen ranges; rows with missing values do no harm.
        units: Feature name to unit, for people.
        output_unit: Unit of the predicted number, for people.

    Returns:
        Both graphs, the signature and the original. Nothing is judged here: see `evaluation.parity`.

    Raises:
        ConversionFailed: A step cannot be converted; says which, why, and what would work instead.
        InvalidInput: The example is not what the model was fitted on.
        Refused: The framework's extra is not installed.
    """
    roots = [base.__module__.partition(".")[0] for base in type(model).__mro__]
    framework = next((root for root in roots if root in FRAMEWORKS), None)
    if framework is None:
        kind = type(model)
        raise ConversionFailed(
            f"the model is a {kind.__module__}.{kind.__qualname__}, "
            f"expected a model of {', '.join(FRAMEWORKS)}",
            hint="register a fitted scikit-learn model or pipeline, or a ready .onnx file",
        )
    conversion: Conversion = FRAMEWORKS.load(framework)(model, example, units=units, output_unit=output_unit)
    return conversion
