"""Opening an input of a batch job with what the model and the output need of it."""

from __future__ import annotations

from modelport.domain.signature import Signature
from modelport.jobs.inputs import Source
from modelport.jobs.plan import Plan
from modelport.runtime.columns import column_types


def open_source(plan: Plan, file: int, signature: Signature, *, join: bool) -> Source:
    """Return one of the plan's inputs, opened.

    Args:
        plan: The job's.
        file: Number of the input.
        signature: What the model takes.
        join: The output keeps the input's columns.

    Raises:
        InvalidInput: It is not of the plan's format.
        NotFound: It is gone.
    """
    url = plan.inputs[file].url
    types = column_types(signature)
    used = {feature.name: types[feature.name] for feature in signature.features if feature.used}
    if plan.input_format == "parquet":
        from modelport.jobs.parquet_input import ParquetSource

        coded = [feature.name for feature in signature.features if feature.vocabulary is not None]
        return ParquetSource(url, used, coded, everything=join, rows_max=plan.shard_rows)
    if plan.input_format == "csv":
        from modelport.jobs.csv_input import CsvSource

        return CsvSource(
            url,
            [feature.name for feature in signature.features],
            used,
            everything=join,
            verbatim=join and plan.output_format == "csv",
            bytes_max=plan.shard_bytes,
        )
    from modelport.jobs.jsonl_input import JsonLinesSource

    return JsonLinesSource(
        url,
        used,
        everything=join and plan.output_format != "jsonl",
        lines=splices(plan, join=join),
        bytes_max=plan.shard_bytes,
    )


def splices(plan: Plan, *, join: bool) -> bool:
    """Return whether answers are appended to the text of the input's lines."""
    return join and plan.input_format == plan.output_format == "jsonl"
