"""The story: one model, from a fitted pipeline to a monitored endpoint with two versions.

Everything between `mp.start()` and the end is what a user would write. Talk and progress go to stderr,
results to stdout.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import modelport as mp
from modelport.quickstart.flights import CATEGORIES, FEATURES, TARGET, UNITS, airline, load_flights
from modelport.sdk.default import using

if TYPE_CHECKING:
    import pandas as pd

FIRST_MONTHS = (1, 2, 3)
NEWER_MONTHS = (1, 2, 3, 4, 5, 6)
BATCH_MONTHS = (4, 5, 6)
REPLAY_MONTH = 7
REPLAY_CONNECTIONS = 4
STEPS = 10
WIDTH = 106
INDENT = " " * 6


class Narrator:
    """Numbered steps on stderr, results on stdout."""

    def __init__(self) -> None:
        self._number = 0
        self._began = time.monotonic()

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Announce a step and, when it is done, how long it took."""
        self._number += 1
        began = time.monotonic()
        print(f"\n[{self._number}/{STEPS}] {what} …", file=sys.stderr, flush=True)
        yield
        print(f"      ({time.monotonic() - began:.1f} s)", file=sys.stderr, flush=True)

    def say(self, text: str) -> None:
        """Print a result."""
        for line in text.splitlines():
            print(textwrap.fill(line, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT), flush=True)

    def progress(self, done: int, total: int, what: str) -> None:
        """Show how far a long step is, on a terminal only."""
        if sys.stderr.isatty():
            print(f"\r      {done:,} of {total:,} {what}", end="\n" if done == total else "", file=sys.stderr)

    @property
    def elapsed_s(self) -> float:
        """Return the seconds since the story began."""
        return time.monotonic() - self._began


def tell(*, keep: bool = False, fast: bool = False) -> None:
    """Tell the whole story.

    Args:
        keep: Leave the platform running at the end, with something to look at.
        fast: Fewer rows in each step; the same steps.
    """
    narrator = Narrator()
    with narrator.step("Read the flights that left New York in 2013, with their weather"):
        flights = load_flights()
        if fast:
            flights = flights.iloc[::6].reset_index(drop=True)
        late = (flights[TARGET] == "late").mean()
        narrator.say(f"{len(flights):,} flights; {late:.0%} arrived more than 15 minutes late.")

    with narrator.step("Train on January to March"):
        first_rows = flights[flights["month"].isin(FIRST_MONTHS)]
        pipeline = train(first_rows)
        narrator.say(f"A scikit-learn pipeline, fitted on {len(first_rows):,} flights.")

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="modelport-quickstart-")))
        with narrator.step("Start a private platform"):
            platform = stack.enter_context(start_to_keep() if keep else mp.start())
            narrator.say(f"Control {platform.url}, predictions {platform.inference_url}.")

        with narrator.step("Register: convert to ONNX and prove that no answer changed"):
            version = register(pipeline, first_rows)
            narrator.say(describe_proof(version))

        with narrator.step("Deploy, and ask about one flight"):
            began = time.monotonic()
            endpoint = mp.deploy(version, "flights", capture="100%")
            narrator.say(f"InService after {time.monotonic() - began:.2f} s.")
            narrator.say(ask_about_one(endpoint, flights))

        with narrator.step("Score April to June from a Parquet file"):
            narrator.say(score_file(version, flights, folder, narrator))

        with narrator.step("Train version 2 with the newer months and give it 10 % of the traffic"):
            newer_rows = flights[flights["month"].isin(NEWER_MONTHS)]
            second = register(train(newer_rows), newer_rows)
            endpoint = mp.deploy(second, "flights", traffic="10%")
            narrator.say(f"{second} is proven and beside {version}: {describe_traffic(endpoint)}.")

        with narrator.step("Replay July through HTTP, with the labels following"):
            narrator.say(replay(endpoint, flights[flights["month"] == REPLAY_MONTH], narrator))

        with narrator.step("Compare the versions, and see what drifted"):
            report = mp.monitor("flights")
            narrator.say("\n".join(report.detail["sentences"]))
            if keep:
                narrator.say(f"The full report, with plots: {report.report}")

        with narrator.step("Promote version 2, roll back once, promote again"):
            changes: list[tuple[str, Callable[[], mp.Endpoint]]] = [
                ("promoted", partial(endpoint.promote, "v2")),
                ("rolled back", endpoint.rollback),
                ("promoted again", partial(endpoint.promote, "v2")),
            ]
            for words, change in changes:
                began = time.monotonic()
                shares = describe_traffic(change())
                narrator.say(f"{words}: {shares} ({time.monotonic() - began:.2f} s)")
        narrator.say(f"\nThe whole story took {narrator.elapsed_s:.0f} s.")
        narrator.say(what_next(platform, keep=keep))


@contextmanager
def start_to_keep() -> Iterator[mp.Client]:
    """Start a platform that outlives the story, unless the story ends badly."""
    home = tempfile.mkdtemp(prefix="modelport-quickstart-home-")
    command = [sys.executable, "-m", "modelport.cli"]
    started = subprocess.run(
        [*command, "up", "--detach", "--home", home, "--port", "0", "--inference-port", "0", "-o", "json"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    try:
        with mp.connect(json.loads(started.stdout)["control_url"]) as client, using(client):
            yield client
    except BaseException:
        subprocess.run([*command, "down", "--home", home], check=True)
        shutil.rmtree(home)
        raise


def train(rows: pd.DataFrame) -> Any:
    """Fit the pipeline a data scientist would start with."""
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder
    from threadpoolctl import threadpool_limits

    pipeline = make_pipeline(
        make_column_transformer(
            (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), list(CATEGORIES)),
            remainder="passthrough",
        ),
        HistGradientBoostingClassifier(max_iter=130, random_state=0),
    )
    # OpenMP threads that wait for each other take ten times as long where something else wants a core.
    with threadpool_limits(limits=1):
        return pipeline.fit(rows[list(FEATURES)], rows[TARGET])


def register(pipeline: Any, rows: pd.DataFrame) -> mp.ModelVersion:
    """Convert, prove and register, with the training rows as the example."""
    return mp.register(pipeline, "flights", example=rows[list(FEATURES)], units=UNITS)


def describe_proof(version: mp.ModelVersion) -> str:
    """Say what the proof found."""
    proof = version.proof["serving"]
    return (
        f"{version} is registered. Original and ONNX answered {proof['rows']:,} rows alike, thresholds and "
        f"their floating-point neighbours included: largest difference {proof['max_absolute']:.1g}, "
        f"label changes {proof['flips']}."
    )


def ask_about_one(endpoint: mp.Endpoint, flights: pd.DataFrame) -> str:
    """Ask about one flight and answer in a sentence."""
    evening = flights[(flights["month"] == BATCH_MONTHS[0]) & (flights["hour"] == 19)].iloc[[0]]
    flight = evening.iloc[0]
    reply = endpoint.predict(evening[list(FEATURES)])
    chance = reply.to_frame()["probability_late"].iloc[0]
    return (
        f"The {flight['hour']} o'clock flight of {airline(flight['carrier'])} from {flight['origin']} "
        f"to {flight['dest']} "
        f"will be {reply.predictions[0]}: the chance of being more than 15 minutes late is {chance:.0%} "
        f"(answered by {reply.model_version}; it was {flight[TARGET]})."
    )


def score_file(version: mp.ModelVersion, flights: pd.DataFrame, folder: Path, narrator: Narrator) -> str:
    """Score a Parquet file in batch and say how fast."""
    rows = flights[flights["month"].isin(BATCH_MONTHS)]
    asked, answered = folder / "april-june.parquet", folder / "scored.parquet"
    rows[list(FEATURES)].to_parquet(asked, index=False)
    began = time.monotonic()
    job = mp.batch(version, asked, answered, join=True)
    job.wait(on_progress=lambda at: narrator.progress(at.rows_done, len(rows), "rows"))
    took = time.monotonic() - began
    return f"{len(rows):,} flights scored in {took:.1f} s ({len(rows) / took:,.0f} rows/s, start included)."


def describe_traffic(endpoint: mp.Endpoint) -> str:
    """Say who gets which share."""
    weights = endpoint.variants
    total = sum(weights.values())
    return ", ".join(f"{name} {weight / total:.0%}" for name, weight in sorted(weights.items()))


def replay(endpoint: mp.Endpoint, july: pd.DataFrame, narrator: Narrator) -> str:
    """Send each airport's departures of each hour as one request, then the labels as they became known."""
    requests = [rows for _, rows in july.groupby(["day", "hour", "origin"], sort=False)]
    done = 0
    began = time.monotonic()
    labels: list[tuple[list[str], list[str]]] = []
    with ThreadPoolExecutor(REPLAY_CONNECTIONS) as pool:
        for rows, reply in zip(
            requests, pool.map(lambda rows: endpoint.predict(rows[list(FEATURES)]), requests), strict=True
        ):
            labels.append((reply.ids, list(rows[TARGET])))
            done += 1
            if done % 50 == 0 or done == len(requests):
                narrator.progress(done, len(requests), "requests")
    took = time.monotonic() - began
    # Labels come later than answers, and not in order.
    labels.reverse()
    ids = [row for row_ids, _ in labels for row in row_ids]
    accepted = endpoint.feedback(ids, [label for _, row_labels in labels for label in row_labels])
    return (
        f"{len(july):,} flights in {len(requests):,} requests in {took:.1f} s; "
        f"{accepted['accepted']:,} labels came back."
    )


def what_next(platform: mp.Client, *, keep: bool) -> str:
    """Say what to try now."""
    lines = ["What to try next:"]
    if keep:
        lines += [
            f"  export MODELPORT_URL={platform.url}    # the platform is still up",
            "  modelport endpoints flights            # also: models, jobs, events, monitor flights",
            f"  modelport down --home {platform.status()['home']}",
        ]
    else:
        lines += [
            "  modelport quickstart --keep    # the same, and leave it running to look at",
            "  modelport up                   # your own platform; then, in Python:",
            "  mp.register(your_pipeline, 'name', example=X_train); mp.deploy('name:1', 'name')",
        ]
    return "\n".join(lines)
