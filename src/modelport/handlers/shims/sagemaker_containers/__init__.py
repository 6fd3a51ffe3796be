"""Stands in for AWS's toolkit of that name."""
