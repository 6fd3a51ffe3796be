"""Real data for the catalogue: what scikit-learn brings, and flights."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn import datasets

from modelport.quickstart.flights import FEATURES, TARGET, load_flights

FLIGHT_ROWS = 6_000
SEED = 20130101


@dataclass(frozen=True)
class Data:
    """Features and target.

    Args:
        x: DataFrame, or array `[N, F]`.
        y: Labels or numbers, `[N]` or `[N, T]`.
    """

    x: Any
    y: Any


@functools.cache
def load(name: str) -> Data:
    """Return a data set by its name in the catalogue."""
    return LOADERS[name]()


def bundled(name: str, *, frame: bool = False) -> Data:
    """Return a data set that scikit-learn brings; labels become words where it has words for them."""
    found = getattr(datasets, f"load_{name}")(as_frame=frame)
    y = np.asarray(found.target)
    words = np.asarray(getattr(found, "target_names", ()))
    if (
        y.ndim == 1
        and len(words)
        and words.dtype.kind in "US"
        and set(np.unique(y)) <= set(range(len(words)))
    ):
        y = words[y.astype(int)].astype(object)
    return Data(found.data, y)


def with_gaps(data: Data, share: float = 0.1) -> Data:
    """Return the data with missing values."""
    x = data.x.copy()
    holes = np.random.default_rng(SEED).random(x.shape) < share
    return Data(x.mask(holes) if hasattr(x, "mask") else np.where(holes, np.nan, x), data.y)


def flights() -> Data:
    """Return flights of January, spread over the month: words, numbers, missing weather."""
    rows = load_flights(months=(1,))
    rows = rows.iloc[:: max(1, len(rows) // FLIGHT_ROWS)].reset_index(drop=True)
    return Data(rows[list(FEATURES)], rows[TARGET].to_numpy())


def flights_categorical() -> Data:
    """Return flights whose words are pandas categories."""
    data = load("flights")
    x = data.x.astype(dict.fromkeys(("carrier", "origin", "dest"), "category"))
    return Data(x, data.y)


def flights_odd() -> Data:
    """Return flights with what is often broken: text like 001, missing words, nullable integers, booleans."""
    data = load("flights")
    x = pd.DataFrame(
        {
            "flight_code": (data.x["distance"].astype(int) % 40).map("{:03d}".format).astype(object),
            "carrier": data.x["carrier"].astype(object).where(np.arange(len(data.x)) % 17 > 0, None),
            "hour": data.x["hour"].astype("Int64").mask(np.arange(len(data.x)) % 23 == 0),
            "weekend": data.x["weekday"] >= 5,
            "wind_speed": data.x["wind_speed"],
        }
    )
    return Data(x, data.y)


LOADERS = {
    "iris": lambda: bundled("iris"),
    "iris (frame)": lambda: bundled("iris", frame=True),
    "wine": lambda: bundled("wine"),
    "wine (frame)": lambda: bundled("wine", frame=True),
    "breast cancer": lambda: bundled("breast_cancer"),
    "breast cancer, gaps": lambda: with_gaps(bundled("breast_cancer", frame=True)),
    "diabetes": lambda: bundled("diabetes"),
    "diabetes (frame)": lambda: bundled("diabetes", frame=True),
    "diabetes, gaps": lambda: with_gaps(bundled("diabetes")),
    "digits": lambda: bundled("digits"),
    "linnerud": lambda: bundled("linnerud", frame=True),
    "flights": flights,
    "flights (categories)": flights_categorical,
    "flights (odd columns)": flights_odd,
}
