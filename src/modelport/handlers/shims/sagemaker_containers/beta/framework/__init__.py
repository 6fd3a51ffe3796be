"""What handler scripts import: `from sagemaker_containers.beta.framework import encoders, worker`."""

from sagemaker_containers.beta.framework import content_types, encoders, worker

__all__ = ["content_types", "encoders", "worker"]
