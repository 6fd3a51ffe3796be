"""The story of a user at a terminal: real commands, a real platform, a real model."""

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import modelport as mp

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def iris():
    data = load_iris(as_frame=True)
    return data.data, data.target.map(dict(enumerate(data.target_names)))


@pytest.fixture(scope="module")
def story(iris, tmp_path_factory):
    """Yield (command, folder): a platform, and the files a user would have."""
    folder = tmp_path_factory.mktemp("story")
    features, labels = iris
    for number, strength in ((1, 1.0), (2, 0.1)):
        pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=500))
        skops.io.dump(pipeline.fit(features, labels), folder / f"model{number}.skops")
    features.to_parquet(folder / "features.parquet", index=False)
    features.to_csv(folder / "features.csv", index=False)
    with mp.start(workers=2) as client:

        def command(*arguments, code=0):
            done = subprocess.run(
                [sys.executable, "-m", "modelport.cli", *map(str, arguments)],
                capture_output=True,
                text=True,
                cwd=folder,
                env={**os.environ, "MODELPORT_URL": client.url, "NO_COLOR": "1"},
                check=False,
            )
            assert done.returncode == code, done.stderr
            return done

        yield command, folder


def test_from_a_file_to_a_compared_pair_of_versions(story, iris):
    command, folder = story
    features, labels = iris
    for number in (1, 2):
        registered = command(
            "register", f"model{number}.skops", "--name", "iris", "--example", "features.parquet"
        )
        assert registered.stdout == f"iris:{number}\n"
    command("verify", "iris:1")
    command("alias", "iris:1", "champion")
    assert command("models").stdout.splitlines()[1].split()[:2] == ["iris", "2"]

    served = command("deploy", "iris@champion", "--endpoint", "iris", "--capture", "100%")
    assert "InService" in served.stdout
    command("deploy", "iris:2", "--endpoint", "iris", "--traffic", "25%")
    document = json.loads(command("endpoints", "iris", "-o", "json").stdout)
    weights = {
        item["variant_name"]: item["current_weight"] for item in document["status"]["production_variants"]
    }
    assert weights["v2"] / sum(weights.values()) == pytest.approx(0.25)

    as_v1 = ("--variant", "v1", "-o", "json")
    by_format = {
        form: json.loads(command("predict", "iris", f"features.{form}", *as_v1).stdout)
        for form in ("csv", "parquet")
    }
    original = skops.io.load(folder / "model1.skops", trusted=[])
    for reply in by_format.values():
        assert reply["predictions"] == original.predict(features).tolist()
        np.testing.assert_allclose(reply["probabilities"], original.predict_proba(features), atol=1e-12)
        assert reply["model_version"] == "iris:1"

    pd.DataFrame({"id": by_format["csv"]["ids"], "label": labels}).to_csv(folder / "labels.csv", index=False)
    assert "150 labels accepted, 0 of them" in command("feedback", "iris", "labels.csv").stderr
    told = command("monitor", "iris", "--html", "report.html")
    assert "v1" in told.stdout
    assert (folder / "report.html").read_text().startswith("<!doctype html>")

    command("promote", "iris", "v2")
    assert "v2 100 %" in command("endpoints").stdout
    assert "v1 75 %, v2 25 %" in command("rollback", "iris").stdout

    scored = command("batch", "iris:1", "features.parquet", "scored.parquet", "--join")
    assert "150" in scored.stdout
    frame = pd.read_parquet(folder / "scored.parquet")
    assert frame["prediction"].tolist() == original.predict(features).tolist()
    assert frame.columns[: features.shape[1]].tolist() == features.columns.tolist()
    assert len(command("jobs").stdout.splitlines()) == 3


def test_an_endpoint_is_measured(story):
    command, folder = story
    command("register", "model1.skops", "--name", "measured", "--example", "features.parquet")
    command("deploy", "measured:1", "--endpoint", "measured")
    told = command(
        *("bench", "measured", "--data", "features.parquet", "--rows", "10", "--seconds", "0.2"),
        *("--target", "30/s", "--p99", "10s", "--svg", "load.svg", "--html", "load.html", "-o", "json"),
    )
    found = json.loads(told.stdout)
    assert found["knee"]["rate"] >= 50
    assert found["points"][0]["answered"] == found["points"][0]["due"] > 0
    assert found["recommendation"]["workers"] == 1
    assert (folder / "load.svg").read_text().startswith("<svg")
    assert (folder / "load.html").read_text().startswith("<!doctype html>")
    command("bench", "measured", "--rows", "1000", "--data", "features.csv", code=2)


def test_what_does_not_work_says_why(story):
    command, folder = story
    (folder / "bad.json").write_text('[{"sepal length (cm)": "long"}]')
    (folder / "model.pkl").write_bytes(b"\x80\x04N.")
    command("register", "model1.skops", "--name", "kept", "--example", "features.csv", "--approval", "manual")
    refused = command("deploy", "kept:1", "--endpoint", "kept", code=4)
    assert "modelport approve kept:1" in refused.stderr
    command("approve", "kept:1", "--reason", "looked at it")
    command("deploy", "kept:1", "--endpoint", "kept")
    bad = command("predict", "kept", "bad.json", code=4)
    assert "row 0" in bad.stderr
    assert "sepal length (cm)" in bad.stderr
    assert (
        "--trust"
        in command("register", "model.pkl", "--name", "x", "--example", "features.csv", code=4).stderr
    )
    assert "--capture 100%" in command("monitor", "kept", code=1).stderr
    command("predict", "nothing", "bad.json", code=5)
    command("deploy", "kept:7", "--endpoint", "kept", code=5)
    command("delete", "kept:1", code=6)
    command("undeploy", "kept")
    command("delete", "kept:1")
    command("models", "my_model", code=2)
    command("batch", "iris:1", "missing.parquet", "out.parquet", code=1)
