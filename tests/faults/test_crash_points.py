"""Every named crash point, visited once: the process dies there, starts again, and nothing is lost or torn.

The names are collected from the source. A point without a scenario fails the test, and so does one whose
scenario does not reach it.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from botocore.exceptions import BotoCoreError

import modelport
from fakes import aws
from fakes.archives import onnx_archive, script_archive
from fakes.bundles import store_bundle, truthful_answer, truthful_bundle
from fakes.day import Crashed, Day
from fakes.platform import Platform, wait_for
from fakes.stage import CONTROL, WORKER, Stage
from modelport.bootstrap import program
from modelport.bootstrap.home import make_folders
from modelport.durable import CRASH_POINT_VARIABLE
from modelport.settings import Settings
from modelport.stores.artifacts.local import LocalArtifacts
from modelport.wire.jobs import JOB_FILE, RESULT_FILE, JobFile, JobResult, MonitorWork, TransformWork

pytestmark = pytest.mark.processes
KILLED = -9
SKLEARN = "1.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
ROWS = 400
OF_JOBS = ("transform",)
OF_MONITORS = ("monitor",)
OF_A_JOBS_END = ("job.before_result", "job.after_result")
OF_WORKERS = ("mark", "capture", "worker")
OF_SWEEPS = ("retention",)
OF_EVERYONE = ("durable",)
OF_OBJECTS = ("object",)
OF_ARCHIVES = ("archive",)
OF_REPLICAS = ("replicas",)
OF_COMPONENTS = ("component",)


def crash_points() -> list[str]:
    """Return every name given to `crash_point` in the source."""
    found: list[str] = []
    for path in sorted(Path(modelport.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id == "crash_point"
            ):
                name = node.args[0]
                assert isinstance(name, ast.Constant), f"{path}:{node.lineno}: the name must be a literal"
                found.append(str(name.value))
    return found


def points_of(*prefixes: str) -> list[str]:
    """Return the crash points whose noun is one of these."""
    return [name for name in crash_points() if name.partition(".")[0] in prefixes]


def test_names_are_unique() -> None:
    assert sorted(crash_points()) == sorted(set(crash_points()))


def points_of_control() -> list[str]:
    """Return the crash points that only the control process can reach: all that nobody else claims."""
    nouns = (
        *OF_JOBS,
        *OF_MONITORS,
        *OF_WORKERS,
        *OF_SWEEPS,
        *OF_EVERYONE,
        *OF_OBJECTS,
        *OF_ARCHIVES,
        *OF_REPLICAS,
        *OF_COMPONENTS,
    )
    others = {*points_of(*nouns), *OF_A_JOBS_END}
    return [name for name in crash_points() if name not in others]


# ── Jobs: a job's process alone ─────────────────────────────────────────────────────────────────


def make_job(home: Path, output: str) -> Path:
    """Prepare a batch job over two files that writes to `output`."""
    layout = Settings(home=home).layout
    make_folders(layout)
    digest = store_bundle(LocalArtifacts(layout.artifacts), truthful_bundle(3))
    inputs = home / "inputs"
    inputs.mkdir()
    for part in range(2):
        lines = "".join(f"{row},{part}\n" for row in range(ROWS))
        (inputs / f"part-{part}.csv").write_text("x0,x1\n" + lines)
    folder = layout.jobs / "scoring"
    folder.mkdir()
    work = TransformWork(digest, "truthful:3", str(inputs), output)
    (folder / JOB_FILE).write_bytes(msgspec.json.encode(JobFile("scoring", work)))
    return folder


def run_job(folder: Path, crash_at: str = "") -> int:
    """Run the job's process to its end; return its exit code."""
    environment = {**os.environ, CRASH_POINT_VARIABLE: crash_at}
    done = subprocess.run(program("job", str(folder)), env=environment, check=False, capture_output=True)
    return done.returncode


@pytest.mark.parametrize("point", [*points_of(*OF_JOBS), *OF_A_JOBS_END])
def test_a_job_that_crashes_finishes_when_started_again(point: str, tmp_path: Path) -> None:
    remote = point == "transform.after_upload"
    folder = make_job(tmp_path, "memory://out" if remote else str(tmp_path / "out"))
    assert run_job(folder, point) == KILLED
    assert run_job(folder) == 0
    result = msgspec.json.decode((folder / RESULT_FILE).read_bytes(), type=JobResult)
    assert result.status == "Completed"
    if not remote:
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
            "_SUCCESS",
            "_manifest.json",
            "part-0.csv",
            "part-1.csv",
        ]
        for part in range(2):
            _, *answers = (tmp_path / "out" / f"part-{part}.csv").read_text().splitlines()
            assert [float(answer) for answer in answers] == [
                truthful_answer(3, [row, part]) for row in range(ROWS)
            ]


CAPTURED = (
    '{"captureData":{"endpointInput":{"observedContentType":"application/json","mode":"INPUT",'
    '"data":"[[1.0,2.0]]","encoding":"JSON"}},"eventMetadata":{"eventId":"a",'
    '"inferenceTime":"2013-07-01T00:00:00Z"},"eventVersion":"0"}\n'
)


@pytest.mark.parametrize("point", points_of(*OF_MONITORS))
def test_a_monitor_that_crashes_reports_when_started_again(point: str, tmp_path: Path) -> None:
    layout = Settings(home=tmp_path).layout
    make_folders(layout)
    digest = store_bundle(LocalArtifacts(layout.artifacts), truthful_bundle(3))
    captured = layout.captures / "watched" / "v3" / "2013/07/01/00" / "a.jsonl"
    captured.parent.mkdir(parents=True)
    captured.write_text(CAPTURED)
    folder = layout.jobs / "watching"
    folder.mkdir()
    work = MonitorWork("watched", {"v3": ("truthful:3", digest)})
    (folder / JOB_FILE).write_bytes(msgspec.json.encode(JobFile("watching", work)))
    assert run_job(folder, point) == KILLED
    assert run_job(folder) == 0
    result = msgspec.json.decode((folder / RESULT_FILE).read_bytes(), type=JobResult)
    assert result.status == "Completed"
    assert all((folder / name).is_file() for name in result.detail["reports"])


# ── Control and workers: one home, on which each of them dies once at each of its points ─────────


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Stage(tmp_path_factory.mktemp("stage") / "home") as running:
        yield running


@pytest.fixture
def day_number(request: pytest.FixtureRequest) -> int:
    """Return a number that no other test of this run has."""
    return [*points_of_control(), *points_of(*OF_WORKERS)].index(request.getfixturevalue("point"))


@pytest.mark.parametrize("point", points_of_control())
def test_what_control_acknowledged_before_it_crashed_comes_true(
    point: str, stage: Stage, day_number: int
) -> None:
    crash(stage, CONTROL, point, day_number)


@pytest.mark.parametrize("point", points_of(*OF_WORKERS))
def test_a_worker_that_crashes_is_back_with_everything(point: str, stage: Stage, day_number: int) -> None:
    crash(stage, WORKER, point, day_number)


def crash(stage: Stage, victim: str, point: str, number: int) -> None:
    """Live a day until the victim dies at the point; start it again and see every promise kept."""
    stage.restart(victim, crash_at=point)
    day = Day(stage, number, victim)
    with suppress(Crashed):
        day.live()
    assert stage.died(victim), f"nothing that was done reaches {point}"
    stage.restart(victim)
    day.keep()


# ── Objects: control dies between the bytes and the index ────────────────────────────────────────


@pytest.mark.parametrize("point", points_of(*OF_OBJECTS))
def test_an_object_is_the_old_one_or_the_new_one_and_never_torn(point: str, tmp_path: Path) -> None:
    old, new = b"old" * 100_000, b"new" * 100_000
    with Stage(tmp_path / "home") as stage:
        aws.client("s3", stage.control_url).create_bucket(
            Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": aws.REGION}
        )
        write_object(stage, point, old)
        stage.restart(CONTROL, crash_at=point)
        with suppress(BotoCoreError):
            write_object(stage, point, new)
        wait_for(lambda: stage.died(CONTROL), what=f"the death of control at {point}")
        stage.restart(CONTROL)
        s3 = aws.client("s3", stage.control_url)
        assert s3.get_object(Bucket="bucket", Key="k")["Body"].read() == old
        write_object(stage, point, new)
        assert s3.get_object(Bucket="bucket", Key="k")["Body"].read() == new


def write_object(stage: Stage, point: str, content: bytes) -> None:
    """Put an object at once, or in parts where the point lies on that way."""
    s3 = aws.client("s3", stage.control_url)
    if point == "object.before_index":
        s3.put_object(Bucket="bucket", Key="k", Body=content)
        return
    upload = {"Bucket": "bucket", "Key": "k"}
    upload |= {"UploadId": s3.create_multipart_upload(**upload)["UploadId"]}
    part = {"PartNumber": 1, "ETag": s3.upload_part(**upload, PartNumber=1, Body=content)["ETag"]}
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [part]})


# ── Custom code: the process that unpacks its archive dies, or control before it told the supervisor ──


@pytest.mark.parametrize("point", points_of(*OF_ARCHIVES))
def test_an_archive_is_unpacked_whole_or_not_at_all(point: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    make_folders(settings.layout)
    digest = LocalArtifacts(settings.layout.artifacts).put([script_archive("", model_bin=b"x" * 100_000)])
    command = [*program("archive", "--home", str(settings.home)), digest]
    crashed = subprocess.run(command, env={**os.environ, CRASH_POINT_VARIABLE: point}, check=False)
    assert crashed.returncode == KILLED
    kept = settings.layout.unpacked / digest
    assert not kept.exists() or (kept / "model.bin").stat().st_size == 100_000
    done = subprocess.run(command, check=True, capture_output=True)
    assert b'"code": true' in done.stdout
    assert (kept / "model.bin").read_bytes() == b"x" * 100_000


@pytest.mark.parametrize("point", points_of(*OF_REPLICAS))
def test_replicas_that_were_written_down_run_whoever_died_before_he_told(point: str, tmp_path: Path) -> None:
    says = "def model_fn(d): pass\ndef transform_fn(m, b, c, a): return 'hello'\n"
    with Platform(tmp_path / "home", workers=1, environment={CRASH_POINT_VARIABLE: point}) as running:
        s3 = aws.client("s3", running.control_url)
        s3.create_bucket(Bucket="code", CreateBucketConfiguration={"LocationConstraint": aws.REGION})
        s3.put_object(Bucket="code", Key="one", Body=script_archive(says))
        before = running.pid("control")
        sagemaker = aws.client("sagemaker", running.control_url)
        aws.make(sagemaker, lambda name: f"s3://code/{name}", "one", SKLEARN, A=("one", 1))
        sagemaker.create_endpoint(EndpointName="one", EndpointConfigName="one")
        wait_for(lambda: running.table()["control"]["pid"] != before, 30.0, what=f"the death at {point}")
        running.pid("control")
        assert aws.settled(sagemaker, "one")["EndpointStatus"] == "InService"
        runtime = aws.client("sagemaker-runtime", running.inference_url)
        assert runtime.invoke_endpoint(EndpointName="one", Body=b"x")["Body"].read() == b"hello"


@pytest.mark.parametrize("point", points_of(*OF_COMPONENTS))
def test_an_inference_component_comes_and_goes_though_control_dies(point: str, tmp_path: Path) -> None:
    with Stage(tmp_path / "home") as stage:
        s3 = aws.client("s3", stage.control_url)
        s3.create_bucket(Bucket="models", CreateBucketConfiguration={"LocationConstraint": aws.REGION})
        s3.put_object(Bucket="models", Key="one", Body=onnx_archive(tmp_path, 2))
        sagemaker = aws.client("sagemaker", stage.control_url)
        item = {"VariantName": "A", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
        sagemaker.create_endpoint_config(
            EndpointConfigName="e", ExecutionRoleArn=f"arn:aws:iam::{1:012}:role/r", ProductionVariants=[item]
        )
        sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="e")
        assert aws.settled(sagemaker, "e")["EndpointStatus"] == "InService"
        stage.restart(CONTROL, crash_at=point)
        sagemaker = aws.client("sagemaker", stage.control_url)
        sagemaker.create_inference_component(
            InferenceComponentName="one",
            EndpointName="e",
            VariantName="A",
            Specification={
                "Container": {"Image": "any", "ArtifactUrl": "s3://models/one"},
                "ComputeResourceRequirements": {"MinMemoryRequiredInMb": 256},
            },
            RuntimeConfig={"CopyCount": 1},
        )

        def status() -> str | None:
            found = sagemaker.list_inference_components()["InferenceComponents"]
            return found[0]["InferenceComponentStatus"] if found else None

        if point == "component.before_settle":
            wait_for(lambda: stage.died(CONTROL), what=f"the death of control at {point}")
            stage.restart(CONTROL)
            sagemaker = aws.client("sagemaker", stage.control_url)
        wait_for(lambda: status() == "InService", 20.0)
        sagemaker.delete_inference_component(InferenceComponentName="one")
        if point == "component.before_remove":
            wait_for(lambda: stage.died(CONTROL), what=f"the death of control at {point}")
            stage.restart(CONTROL)
            sagemaker = aws.client("sagemaker", stage.control_url)
        wait_for(lambda: status() is None, 20.0)
        sagemaker.delete_endpoint(EndpointName="e")


# ── Sweeps: too rare to wait for, so a process that does nothing else ────────────────────────────

SWEEP = """
import sys
from pathlib import Path
from modelport.control.retention import Retention
from modelport.control.routes import RouteFiles
from modelport.domain.clock import SystemClock
from modelport.settings import HomeLayout
from modelport.stores.artifacts.local import LocalArtifacts
from modelport.stores.records.records import Records, sqlite_url

layout, clock = HomeLayout(Path(sys.argv[1])), SystemClock()
records = Records(sqlite_url(layout.database), clock)
artifacts, routes = LocalArtifacts(layout.artifacts), RouteFiles(layout.routes)
Retention(records, artifacts, routes, layout, label_age_days=1.0, clock=clock).sweep()
"""


@pytest.mark.parametrize("point", points_of(*OF_SWEEPS))
def test_a_sweep_that_crashes_took_only_what_nobody_needs(point: str, tmp_path: Path) -> None:
    with Stage(tmp_path / "home") as stage:
        reference = stage.register("kept", truthful_bundle(1))
        artifacts = LocalArtifacts(stage.layout.artifacts)
        waste = [artifacts.put([f"waste {number}".encode()]) for number in range(3)]
        for path in (stage.layout.artifacts / "sha256").rglob("*"):
            os.utime(path, (0, 0))  # older than any grace
        unpacked = [stage.layout.unpacked / name for name in ("w" * 64, ".fresh-x")]
        for folder in unpacked:
            folder.mkdir()
            os.utime(folder, (0, 0))
        stage.end(CONTROL)
        command = [sys.executable, "-c", SWEEP, str(stage.layout.home)]
        crashed = subprocess.run(command, env={**os.environ, CRASH_POINT_VARIABLE: point}, check=False)
        assert crashed.returncode == KILLED
        subprocess.run(command, check=True, capture_output=True)
        assert not any(artifacts.has(digest) for digest in waste)
        assert not any(folder.exists() for folder in unpacked)
        stage.start(CONTROL)
        assert stage.deploy(reference, "kept")["status"]["endpoint_status"] == "InService"


# ── Everyone: the durable write itself ───────────────────────────────────────────────────────────


@pytest.mark.parametrize("point", points_of(*OF_EVERYONE))
def test_a_supervisor_that_crashes_while_it_writes_leaves_a_home_that_starts(
    point: str, tmp_path: Path
) -> None:
    platform = Platform(tmp_path / "home", workers=1)
    try:
        process = platform.launch({CRASH_POINT_VARIABLE: point})
        process.communicate(timeout=30)
        assert process.returncode == KILLED
        platform.up()
        wait_for(lambda: platform.ask("GET", "/status")["control_url"] == platform.control_url)
    finally:
        platform.stop()
