"""Which replicas should run is a list for the supervisor; how they are is read from its table."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fakes.house import HandClock
from modelport.control.replicas import Replicas
from modelport.domain.planning.endpoint import TrialState
from modelport.domain.planning.replicas import VariantReplicas
from modelport.domain.registry import Code, ContainerDefinition, ModelNotes, ModelSpec
from modelport.domain.resource import Kind, Nothing, Resource
from modelport.settings import Settings
from modelport.wire.replicas import read_replicas

NOW = datetime(2026, 1, 2, tzinfo=UTC)
CONTAINER = ContainerDefinition(image="image:1", environment={"A": "b"})
MODEL = Resource(
    Kind.MODEL,
    "code",
    None,
    ModelSpec("code", CONTAINER),
    Nothing(),
    ModelNotes("", "code", Code("a" * 64, "b" * 64)),
    1,
    1,
    NOW,
    NOW,
)
RUN = VariantReplicas("air", "a", MODEL, ("r-0", "r-1"))


class Home:
    """A home, its replicas, and how often the supervisor was told."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(home=folder, replica_start_timeout_s=7.0)
        self.layout = self.settings.layout
        for path in (self.layout.run, self.layout.logs):
            path.mkdir(parents=True)
        self.clock = HandClock()
        self.told = 0
        self.replicas = self.again()

    def again(self) -> Replicas:
        """Return what a control process that starts now knows."""
        return Replicas(self.settings, self.clock, self._tell)

    def _tell(self) -> None:
        self.told += 1

    def supervise(self, since: datetime | None = None, **lines: tuple[str, str | None]) -> None:
        """Write the supervisor's table: replica to state and last exit."""
        rows = [
            {"name": f"replica-{name.replace('_', '-')}", "state": state, "last_exit": last, "since": moment}
            for name, (state, last) in lines.items()
            for moment in [(since or self.clock.now()).isoformat()]
        ]
        self.layout.processes_file.write_text(json.dumps({"processes": rows}))

    def log(self, name: str, text: str) -> None:
        (self.layout.logs / f"replica-{name}.log").write_text(text)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def test_what_should_run_is_written_once_and_told(home: Home) -> None:
    for _ in range(3):
        home.replicas.want([RUN], ())
    first, second = read_replicas(home.layout.replicas_file)
    assert (first.name, second.name, home.told) == ("r-0", "r-1", 1)
    assert (first.endpoint, first.variant, first.model, first.image) == ("air", "a", "code", "image:1")
    assert (first.archive, first.source, first.environment) == ("a" * 64, "b" * 64, {"A": "b"})
    assert first.start_timeout_s == 7.0
    home.replicas.want([], ["r-0"])
    assert [spec.name for spec in read_replicas(home.layout.replicas_file)] == ["r-0"]
    assert home.layout.replicas_file.stat().st_mode & 0o777 == 0o600


def test_what_serves_runs_on_when_control_starts_anew(home: Home) -> None:
    home.replicas.want([replace(RUN, start_timeout_s=60)], ())
    before = home.layout.replicas_file.read_bytes()
    again = home.again()
    assert again.names() == {"r-0", "r-1"}
    again.want([], ["r-0", "r-1"])
    assert home.layout.replicas_file.read_bytes() == before


def test_the_supervisors_table_says_how_they_are(home: Home) -> None:
    assert home.replicas.observe() == {}
    home.replicas.want([replace(RUN, names=("r-0", "r-1", "r-2", "r-3"))], ())
    home.supervise(
        r_0=("running", None), r_1=("starting", None), r_2=("waiting", "exit 1"), other=("running", None)
    )
    home.log("r-2", "error: before\nstarted: a\nTraceback\nerror: KeyError: 'x'\nhint: do it\n")
    found = home.replicas.observe()
    assert {name: trial.state for name, trial in found.items()} == {
        "r-0": TrialState.PASSED,
        "r-1": TrialState.RUNNING,
        "r-2": TrialState.FAILED,
    }
    assert found["r-2"].reason == "KeyError: 'x'; do it"


@pytest.mark.parametrize(
    ("how", "log", "reason"),
    [
        ("exit 142", "error: of another time", "it was not ready within 7 s"),
        ("killed by SIGALRM", "", "it was not ready within 7 s"),
        ("exit 137", "error: of a start before\nstarted: air/a\nloading\n", "memory ran out"),
        ("exit 134", "", "SIGABRT"),
        ("exit 1", "no word of an error\n\n", "(exit 1): no word of an error"),
        ("exit 1", None, "said nothing"),
        ("exit 1", "error: " + "x" * 900, "xxx…"),
    ],
)
def test_a_failed_start_has_a_reason(home: Home, how: str, log: str | None, reason: str) -> None:
    home.replicas.want([RUN], ())
    if log is not None:
        home.log("r-0", log)
    home.supervise(r_0=("waiting", how))
    assert reason in str(home.replicas.observe()["r-0"].reason)


def test_a_failure_of_the_time_before_says_nothing_of_a_new_wish(home: Home) -> None:
    home.replicas.want([RUN], ())
    home.supervise(r_0=("waiting", "exit 1"))
    assert home.replicas.observe()["r-0"].state is TrialState.FAILED
    home.replicas.want([], ())
    home.clock.turn(5)
    home.replicas.want([RUN], ())
    stale = home.clock.now() - timedelta(seconds=5)
    home.supervise(stale, r_0=("waiting", "exit 1"))  # the supervisor has not heard of the change yet
    assert home.replicas.observe()["r-0"].state is TrialState.RUNNING
    home.supervise(r_0=("waiting", "exit 1"))
    assert home.replicas.observe()["r-0"].state is TrialState.FAILED


def test_a_damaged_list_is_as_good_as_none(home: Home) -> None:
    home.replicas.want([RUN], ())
    for content in (b"{", b'{"replicas": [{"name": "../x"}]}', b"\xff"):
        home.layout.replicas_file.write_bytes(content)
        assert home.again().names() == frozenset()
