"""Stands in for AWS's toolkit of that name."""

from sagemaker_inference import content_types, decoder, encoder, errors

__all__ = ["content_types", "decoder", "encoder", "errors"]
