"""A busy day of one platform: everything a user can wish for, and what was promised to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from fakes.bundles import bundle_digest, truthful_answer, truthful_bundle
from fakes.platform import wait_for
from fakes.stage import Stage

ROW = [1.0, 2.0]
ROWS = 200
DONE = ("Completed", "Failed", "Stopped")


class Crashed(Exception):
    """The process under test died."""


class Day:
    """One run of everything, under names of its own.

    Each answer that acknowledges a wish becomes a promise; `keep` checks them all, on whatever platform
    runs on the home by then.

    Args:
        stage: The platform; one of its processes may die at any moment.
        number: Of the day, from 0; no two days share names, models or versions.
        victim: The process whose death ends the day.
    """

    def __init__(self, stage: Stage, number: int, victim: str) -> None:
        self.stage = stage
        self.name = f"day-{number}"
        self.victim = victim
        self.first, self.second = 2 * number + 1, 2 * number + 2
        self.promises: dict[str, Callable[[], None]] = {}
        inputs = stage.layout.home / f"{self.name}.csv"
        inputs.write_text("x0,x1\n" + "".join(f"{row},1\n" for row in range(ROWS)))

    def live(self) -> None:
        """Do everything.

        Raises:
            Crashed: The victim died.
        """
        one = self.register(self.first)
        self.deploy(one, {self.first}, capture_percent=100.0)
        asked = self.invoke()
        # As if a worker had died while it loaded the next model; only a new first load may clear that.
        digest = bundle_digest(truthful_bundle(self.second))
        (self.stage.layout.marks / f"0-{digest}").touch()
        two = self.register(self.second)
        self.deploy(two, {self.first, self.second}, capture_percent=100.0)
        self.move_back({self.first, self.second})
        self.label(asked.headers["X-Modelport-Prediction-Id"])
        self.score(one)
        self.score_and_stop(one)
        self.remove()

    def keep(self) -> None:
        """Check that everything acknowledged has become so."""
        for promise in self.promises.values():
            promise()

    def ask(self, method: str, path: str, document: Any = None) -> Any:
        """Ask control, unless the victim has died."""
        if self.stage.died(self.victim):
            raise Crashed
        try:
            return self.stage.ask(method, path, document, timeout=5.0)
        except httpx.TransportError:
            self.wait_for(lambda: False)
            raise

    def wait_for(self, goal: Callable[[], Any]) -> Any:
        """Return the first true answer of `goal`, unless the victim dies first."""
        found = wait_for(lambda: "died" if self.stage.died(self.victim) else goal(), 20.0, what=self.name)
        if found == "died":
            raise Crashed
        return found

    def register(self, version: int) -> str:
        """Register a version."""
        files = truthful_bundle(version)
        try:
            reference = self.stage.register(self.name, files)
        except httpx.TransportError:
            self.wait_for(lambda: False)
            raise
        self.promises[f"register {version}"] = lambda: self.check_version(reference, version)
        return reference

    def check_version(self, reference: str, version: int) -> None:
        group, _, number = reference.partition(":")
        found = self.stage.ask("GET", f"/model-package-groups/{group}/versions/{number}")
        assert found["modelport"]["digest"] == bundle_digest(truthful_bundle(version))

    def deploy(self, reference: str, allowed: set[int], **options: Any) -> None:
        """Deploy a version and wait until it serves."""
        wish = {"model_package": reference, **options}
        self.promises.pop("deploy", None)
        self.promises["endpoint"] = lambda: self.check_serves(allowed, must=False)
        self.ask("POST", f"/endpoints/{self.name}/deployments", wish)
        newest = max(allowed)
        self.promises["endpoint"] = lambda: self.check_serves({newest}, must=True)
        self.wait_for(self.in_service)

    def move_back(self, allowed: set[int]) -> None:
        """Move traffic to the config before, step by step, and wait until it serves."""
        before = self.ask("GET", f"/endpoints/{self.name}")["modelport"]["previous_config"]
        routing = {"Type": "CANARY", "WaitIntervalInSeconds": 0}
        routing["CanarySize"] = {"Type": "CAPACITY_PERCENT", "Value": 50}
        wish = {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}}
        self.promises["endpoint"] = lambda: self.check_serves(allowed, must=True)
        self.ask(
            "PATCH",
            f"/endpoints/{self.name}",
            {"endpoint_config_name": before, "deployment_config": wish},
        )
        self.promises["endpoint"] = lambda: self.check_serves({min(allowed)}, must=True)
        self.wait_for(self.in_service)

    def in_service(self) -> bool:
        found = self.ask("GET", f"/endpoints/{self.name}")
        settled = found["observed_generation"] >= found["generation"]
        return bool(settled and found["status"]["endpoint_status"] == "InService")

    def check_serves(self, allowed: set[int], *, must: bool) -> None:
        """Check that the endpoint answers as one of these versions; or, where it may, is not there."""
        try:
            found = self.stage.settled(self.name)
        except AssertionError:
            if must:
                raise
            return
        assert found["status"]["endpoint_status"] == "InService", found
        answer = self.stage.invoke(self.name, [ROW]).json()["predictions"]
        assert answer in [[truthful_answer(version, ROW)] for version in allowed]

    def invoke(self) -> httpx.Response:
        """Ask for a prediction."""
        try:
            reply = self.stage.invoke(self.name, [ROW])
        except httpx.TransportError:
            self.wait_for(lambda: False)
            raise
        assert reply.status_code == 200, reply.text
        return reply

    def label(self, prediction: str) -> None:
        """Give the label of a prediction."""
        row = f"{prediction}#0"
        self.ask("POST", f"/endpoints/{self.name}/labels", {"labels": [{"id": row, "label": 1.5}]})

        def kept() -> None:
            files = self.stage.layout.labels.rglob("*.jsonl")
            assert any(row in path.read_text() for path in files)

        self.promises["label"] = kept

    def start_job(self, reference: str, name: str) -> None:
        home = self.stage.layout.home
        wish = {
            "transform_job_name": name,
            "model_name": reference,
            "transform_input": {
                "data_source": {"s3_data_source": {"s3_uri": str(home / f"{self.name}.csv")}}
            },
            "transform_output": {"s3_output_path": str(home / f"{name}-out.csv")},
        }
        self.ask("POST", "/transform-jobs", wish)

    def job_status(self, name: str, ask: Callable[[str, str], Any]) -> str | None:
        status = ask("GET", f"/transform-jobs/{name}")["status"]["transform_job_status"]
        return status if status in DONE else None

    def score(self, reference: str) -> None:
        """Score a file and wait for the answers."""
        name = f"{self.name}-score"
        self.start_job(reference, name)

        def done() -> None:
            assert wait_for(lambda: self.job_status(name, self.stage.ask), 20.0) == "Completed"
            written = (self.stage.layout.home / f"{name}-out.csv").read_text().splitlines()
            assert [float(line) for line in written[1:]] == [
                truthful_answer(self.first, [row, 1]) for row in range(ROWS)
            ]

        self.promises["job"] = done
        self.wait_for(lambda: self.job_status(name, self.ask))

    def score_and_stop(self, reference: str) -> None:
        """Start to score a file and stop at once."""
        name = f"{self.name}-stop"
        self.start_job(reference, name)
        self.promises["stopped job"] = lambda: self.check_ended(name, ("Completed", "Stopped"))
        self.wait_for(lambda: self.stage.job_pid(name))
        self.ask("POST", f"/transform-jobs/{name}/stop")
        self.wait_for(lambda: self.job_status(name, self.ask))

    def check_ended(self, name: str, allowed: tuple[str, ...]) -> None:
        assert wait_for(lambda: self.job_status(name, self.stage.ask), 20.0) in allowed

    def remove(self) -> None:
        """Delete the endpoint."""
        self.promises["endpoint"] = lambda: None
        self.ask("DELETE", f"/endpoints/{self.name}")
        self.promises["endpoint"] = self.check_removed
        self.wait_for(lambda: self.is_removed(self.ask))

    def is_removed(self, ask: Callable[[str, str], Any]) -> bool:
        items = ask("GET", "/endpoints?limit=100")["items"]
        return self.name not in [item["name"] for item in items]

    def check_removed(self) -> None:
        wait_for(lambda: self.is_removed(self.stage.ask), 20.0, what="the endpoint's end")
        assert self.stage.invoke(self.name, [ROW]).status_code == 400
