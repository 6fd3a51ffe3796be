"""From a job's wish to what its process is told."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from modelport.domain.endpoint import Endpoint, EndpointConfig
from modelport.domain.errors import InvalidInput
from modelport.domain.job import ProcessingSpec, TransformSpec
from modelport.domain.planning.job import Job
from modelport.domain.registry import Model
from modelport.domain.resource import Kind
from modelport.stores.records.transaction import Transaction
from modelport.wire.jobs import MonitorWork, TransformWork, Work

MONITOR = "monitor"
TASK = "MODELPORT_TASK"
ENDPOINT = "MODELPORT_ENDPOINT"
SINCE = "MODELPORT_SINCE"
UNTIL = "MODELPORT_UNTIL"
"""What a processing job is asked for, as SageMaker does it: in its environment."""

Format = Literal["parquet", "csv", "jsonl"]

FORMATS: dict[str, Format] = {
    "application/vnd.apache.parquet": "parquet",
    "application/x-parquet": "parquet",
    "application/parquet": "parquet",
    "text/csv": "csv",
    "application/jsonlines": "jsonl",
    "application/x-ndjson": "jsonl",
}
"""Media types of batch input and output, and the format each one means."""


def format_of(media_type: str | None) -> Format | None:
    """Return the format a media type means; None where none is given.

    Raises:
        InvalidInput: Batch jobs do not read or write it.
    """
    if media_type is None:
        return None
    found = FORMATS.get(media_type.partition(";")[0].strip().lower())
    if found is None:
        raise InvalidInput(
            f"batch jobs do not read or write {media_type!r}", hint=f"one of: {', '.join(sorted(FORMATS))}"
        )
    return found


def work_of(tx: Transaction, job: Job, captures: Path) -> Work | str:
    """Return what the process of a job is told, or why there is nothing to tell it.

    Args:
        tx: Knows what the job names.
        job: The job.
        captures: Folder of captured traffic.
    """
    if isinstance(job.spec, TransformSpec):
        return _transform(tx, job.spec, job.modelport.failed_rows_max)
    return _monitor(tx, job.spec, captures)


def _transform(tx: Transaction, spec: TransformSpec, failed_rows_max: int) -> TransformWork | str:
    model: Model | None = tx.find(Kind.MODEL, spec.model_name)
    if model is None:
        return f"model {spec.model_name!r} does not exist any more"
    source = spec.transform_input
    return TransformWork(
        digest=model.modelport.digest,
        model_version=model.modelport.model_version,
        input_url=source.data_source.s3_data_source.s3_uri,
        output_url=spec.transform_output.s3_output_path,
        output_format=format_of(spec.transform_output.accept),
        join=spec.data_processing is not None and spec.data_processing.join_source == "Input",
        failed_rows_max=failed_rows_max,
        input_format=format_of(source.content_type),
    )


def _monitor(tx: Transaction, spec: ProcessingSpec, captures: Path) -> MonitorWork | str:
    name = spec.environment.get(ENDPOINT, "")
    endpoint: Endpoint | None = tx.find(Kind.ENDPOINT, name)
    if endpoint is None:
        return f"endpoint {name!r} does not exist any more"
    variants = {}
    for variant, model_name in _models_by_variant(tx, endpoint, captures / name).items():
        model: Model | None = tx.find(Kind.MODEL, model_name)
        # What code answers nobody can compare, nor what is made of a model's answers.
        if model is not None and model.modelport.digest and not model.modelport.further:
            variants[variant] = (model.modelport.model_version, model.modelport.digest)
    if not variants:
        return f"endpoint {name!r} has served no version that is still registered"
    return MonitorWork(
        endpoint=name,
        variants=variants,
        since=spec.environment.get(SINCE),
        until=spec.environment.get(UNTIL),
    )


def _models_by_variant(tx: Transaction, endpoint: Endpoint, captured: Path) -> dict[str, str]:
    """Return the Model behind each variant that serves, or that served and left captures."""
    found = {
        variant: model
        for variant, model in endpoint.modelport.served.items()
        if (captured / variant).is_dir()
    }
    config: EndpointConfig | None = tx.find(Kind.ENDPOINT_CONFIG, endpoint.spec.endpoint_config_name)
    if config is not None:
        found |= {
            item.variant_name: item.model_name
            for item in config.spec.production_variants + config.spec.shadow_production_variants
        }
    return found
