"""Signatures as models have them: flights with mixed columns, and bare matrices."""

from __future__ import annotations

import sys

from modelport.domain.signature import Feature, FeatureType, Output, Signature, Task

CARRIERS = ("9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL", "HA", "MQ", "OO", "UA", "US", "VX", "WN", "YV")
ORIGINS = ("EWR", "JFK", "LGA")
DESTINATIONS = ("ATL", "BOS", "CLT", "DEN", "FLL", "LAX", "MCO", "ORD", "SEA", "SFO", "001")
WEATHER = ("temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib")
LATE = Output(Task.CLASSIFICATION, ("late", "on time"), probabilities=True)

FLIGHTS = Signature(
    (
        Feature("carrier", FeatureType.STRING, vocabulary=CARRIERS),
        Feature("origin", FeatureType.CATEGORY, vocabulary=ORIGINS, missing=False, unknown=False),
        Feature("dest", FeatureType.STRING, vocabulary=DESTINATIONS),
        Feature("dep_hour", FeatureType.INT64, missing=False, seen_min=0.0, seen_max=23.0),
        Feature("weekday", FeatureType.INT64, missing=False, lower=0, upper=6, seen_min=0.0, seen_max=6.0),
        Feature("distance", FeatureType.DOUBLE, missing=False, lower=0.0, upper=sys.float_info.max),
        *(
            Feature(name, FeatureType.DOUBLE, lower=-sys.float_info.max, upper=sys.float_info.max)
            for name in WEATHER
        ),
    ),
    LATE,
)
"""13 features, 3 of them text; the weather may be missing."""

FLIGHT = {
    "carrier": "UA",
    "origin": "EWR",
    "dest": "LAX",
    "dep_hour": 13,
    "weekday": 2,
    "distance": 1400,
    "temp": 39.02,
    "dewp": 26.06,
    "humid": 59.37,
    "wind_speed": 10.35702,
    "precip": 0.0,
    "pressure": 1012.0,
    "visib": 10.0,
}


def matrix_signature(features: int, *, missing: bool = True) -> Signature:
    """Return the signature of a classifier trained on a bare matrix."""
    columns = tuple(Feature(f"x{j}", FeatureType.DOUBLE, missing=missing) for j in range(features))
    return Signature(columns, LATE, matrix=True)


def regression_signature(features: int, targets: int = 1) -> Signature:
    """Return the signature of a regression on a bare matrix."""
    columns = tuple(Feature(f"x{j}", FeatureType.DOUBLE) for j in range(features))
    names = tuple(f"y{j}" for j in range(targets))
    return Signature(columns, Output(Task.REGRESSION, targets=names), matrix=True)
