"""Stands in for AWS's package of that name, which is not on PyPI."""

from sagemaker_xgboost_container import data_utils, encoder

__all__ = ["data_utils", "encoder"]
