"""Who is measured, and how each is started: us, floor, ceiling, and the peers as their docs recommend.

A contestant is one entry in the table; a new one is a function from a `Setting` to a `Command` and its line
there.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from measuring.asking import Dialect, json_dialect, v2_binary, v2_json
from measuring.models import Made

PEERS = Path(__file__).parents[1] / "peers"
ANSWERS = ("probabilities", "predictions")


@dataclass(frozen=True, slots=True)
class Setting:
    """In what a contestant is started.

    Args:
        model: To serve.
        python: Of its environment.
        port: To listen on.
        workers: Processes that score.
        folder: Empty, its own.
    """

    model: Made
    python: Path
    port: int
    workers: int
    folder: Path

    def script(self, name: str) -> Path:
        """Return a program of the contestant's environment."""
        return self.python.parent / name


@dataclass(frozen=True, slots=True)
class Command:
    """How it is started.

    Args:
        words: The command.
        environment: Variables on top of ours.
        folder: Where it runs; None: where we do.
    """

    words: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None


@dataclass(frozen=True, slots=True)
class Contestant:
    """One way of serving a model.

    Args:
        name: For `--peers`.
        title: For people.
        command: How it is started; may prepare its folder.
        dialects: How it is asked for a model.
        requirements: Its environment; empty: ours.
        told: Distributions whose versions are shown.
        takes: Whether it can serve a model.
        infers: It runs the model at all.
        ours: It is modelport, whose figures others are compared with.
        pausable: It survives being stopped and continued while others are measured.
        start_timeout_s: How long its start may take.
        tolerance: Largest difference of a probability from the original.
    """

    name: str
    title: str
    command: Callable[[Setting], Command]
    dialects: Callable[[Made], tuple[Dialect, ...]]
    requirements: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    takes: Callable[[Made], bool] = lambda model: not model.records
    infers: bool = True
    ours: bool = False
    pausable: bool = True
    start_timeout_s: float = 120.0
    tolerance: float = 1e-6


def _plain(_: Made) -> tuple[Dialect, ...]:
    return (json_dialect("/predict", "instances", *ANSWERS),)


def _onnx(model: Made) -> bool:
    return (model.folder / "model.onnx").exists()


def _scikit(model: Made) -> bool:
    return model.scikit


def _variables(setting: Setting, kind: str = "ort", **more: str) -> dict[str, str]:
    """Return what `peers/scoring.py` reads, and one thread for every library of mathematics."""
    return {
        "MODEL_DIR": str(setting.model.folder),
        "KIND": kind,
        "WORKERS": str(setting.workers),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONPATH": str(PEERS),
        **more,
    }


# modelport


def _ours(_: Made) -> tuple[Dialect, ...]:
    return (
        json_dialect("/endpoints/bench/invocations", "instances", *ANSWERS),
        v2_binary("/v2/models/bench/infer"),
    )


def _modelport(*, capture: str | None = None, variants: int = 1) -> Callable[[Setting], Command]:
    """Register and deploy on a home of its own; the command starts the platform on it again."""

    def command(setting: Setting) -> Command:
        import modelport

        home = setting.folder / "home"
        with modelport.start(home=home, workers=1) as client:
            for number in range(variants):
                version = client.register(setting.model.original, "bench", example=setting.model.example)
                traffic = None if number == 0 else 100.0 / variants
                client.deploy(version, "bench", capture=capture, traffic=traffic)
        words = [sys.executable, "-m", "modelport.cli", "up", "--home", str(home), "--port", "0"]
        words += ["--inference-port", str(setting.port), "--workers", str(setting.workers), "-o", "json"]
        return Command(words)

    return command


# the floor and the ceiling


def _echo(setting: Setting) -> Command:
    return Command([str(setting.python), str(PEERS / "echo.py"), str(setting.port)])


def _echoed(_: Made) -> tuple[Dialect, ...]:
    whole = json_dialect("/predict", "instances")
    return (Dialect("json", whole.path, whole.encode, lambda *_: None),)  # type: ignore[arg-type, return-value]


def _ceiling(setting: Setting) -> Command:
    words = [str(setting.python), str(PEERS / "ceiling.py"), str(setting.model.folder / "model.onnx")]
    return Command([*words, str(setting.port), str(setting.workers)])


def _ceiling_asked(model: Made) -> tuple[Dialect, ...]:
    return (*_plain(model), v2_binary("/v2/models/m/infer"))


# peers


def _uvicorn(app: str, kind: str = "ort") -> Callable[[Setting], Command]:
    def command(setting: Setting) -> Command:
        words = [
            str(setting.python),
            "-m",
            "uvicorn",
            "--app-dir",
            str(PEERS),
            app,
            "--port",
            str(setting.port),
        ]
        words += ["--loop", "uvloop", "--http", "httptools", "--workers", str(setting.workers)]
        model = str(setting.model.folder / "model.joblib")
        return Command([*words, "--no-access-log"], _variables(setting, kind, MODEL=model))

    return command


def _fastapi_sklearn(setting: Setting) -> Command:
    app = "fastapi_sklearn:app" if setting.model.records else "fastapi_matrix:app"
    return _uvicorn(app, "sklearn")(setting)


def _mlserver(kind: str) -> Callable[[Setting], Command]:
    def command(setting: Setting) -> Command:
        ports = {f"{name}_port": setting.port + at for at, name in enumerate(("http", "grpc", "metrics"))}
        parallel = 0 if setting.workers == 1 else setting.workers  # in process: its quickest with one
        settings = {"debug": False, "host": "127.0.0.1", "parallel_workers": parallel, **ports}
        (setting.folder / "settings.json").write_text(json.dumps({**settings, "logging_settings": None}))
        implementation = "mlserver_model.OrtModel" if kind == "ort" else "mlserver_sklearn.SKLearnModel"
        uri = str(setting.model.folder / ("model.onnx" if kind == "ort" else "model.joblib"))
        about = {"name": "m", "implementation": implementation, "parameters": {"uri": uri}}
        (setting.folder / "model-settings.json").write_text(json.dumps(about))
        words = [str(setting.script("mlserver")), "start", str(setting.folder)]
        return Command(words, _variables(setting, kind))

    return command


def _mlserver_asked(kind: str) -> Callable[[Made], tuple[Dialect, ...]]:
    path = "/v2/models/m/infer"

    def dialects(_: Made) -> tuple[Dialect, ...]:
        asked = v2_json(path)
        if kind == "ort":
            return (asked, v2_binary(path))
        whole = json_dialect(path)

        def encode(rows):
            body = json.loads(asked.encode(rows)[0])
            return json.dumps({**body, "outputs": [{"name": "predict_proba"}]}).encode(), {}

        return (Dialect("json", whole.path, encode, asked.read),)

    return dialects


def _bentoml(setting: Setting) -> Command:
    words = [str(setting.script("bentoml")), "serve", "bento_service:Service", "--host", "127.0.0.1"]
    more = {"BENTOML_HOME": str(setting.folder), "BENTOML_DO_NOT_TRACK": "true"}
    return Command([*words, "--port", str(setting.port)], _variables(setting, **more), PEERS)


def _python(name: str, *more: Callable[[Setting], str]) -> Callable[[Setting], Command]:
    def command(setting: Setting) -> Command:
        words = [str(setting.python), str(PEERS / name), str(setting.port), str(setting.workers)]
        return Command([*words, *(one(setting) for one in more)], _variables(setting))

    return command


def _ray(setting: Setting) -> Command:
    command = _python("ray_server.py", lambda it: str(it.folder))(setting)
    patience = {"RAY_raylet_start_wait_time_s": "180"}  # on one core its own 30 s may not do
    return Command(command.words, {**command.environment, **patience})


def _kserve_asked(_: Made) -> tuple[Dialect, ...]:
    return (json_dialect("/v1/models/m:predict", "instances", *ANSWERS), v2_binary("/v2/models/m/infer"))


def _mlflow(setting: Setting) -> Command:
    kind = "sklearn" if setting.model.scikit else "ort"
    variables = _variables(setting, kind, MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true")
    goal = setting.folder / "model"
    shutil.rmtree(goal, ignore_errors=True)
    saved = subprocess.run(
        [str(setting.python), str(PEERS / "mlflow_save.py"), str(goal)],
        env={**variables, "PATH": f"{setting.python.parent}:/usr/bin:/bin", "HOME": str(setting.folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    if saved.returncode:
        raise RuntimeError(f"mlflow_save.py: {saved.stderr.strip().splitlines()[-1:]}")
    words = [str(setting.script("mlflow")), "models", "serve", "-m", str(goal), "--env-manager", "local"]
    words += ["--host", "127.0.0.1", "--port", str(setting.port), "--workers", str(setting.workers)]
    path = f"{setting.python.parent}:/usr/bin:/bin"
    return Command(words, {**variables, "PATH": path}, setting.folder)


def _mlflow_asked(_: Made) -> tuple[Dialect, ...]:
    return (json_dialect("/invocations", "inputs", "predictions"),)


SERVERS = ("onnxruntime", "numpy")
WEB = ("fastapi==0.165.0", "uvicorn==0.54.0", "uvloop", "httptools")

CONTESTANTS: tuple[Contestant, ...] = (
    Contestant(
        "modelport", "modelport", _modelport(), _ours, takes=lambda _: True, ours=True, told=("modelport",)
    ),
    Contestant(
        "modelport-capture",
        "modelport, every request captured",
        _modelport(capture="100%"),
        _ours,
        takes=lambda _: True,
        ours=True,
    ),
    Contestant(
        "modelport-variants",
        "modelport, two variants 50:50",
        _modelport(variants=2),
        _ours,
        takes=lambda _: True,
        ours=True,
    ),
    Contestant(
        "echo",
        "floor: echo on uvloop + httptools",
        _echo,
        _echoed,
        ("uvloop", "httptools"),
        ("uvloop", "httptools"),
        infers=False,
    ),
    Contestant(
        "ceiling",
        "ceiling: the same path without a platform",
        _ceiling,
        _ceiling_asked,
        ("uvloop", "httptools", "msgspec", "orjson", "onnxruntime", "numpy", "pysimdjson==7.0.2"),
        ("uvloop", "onnxruntime", "pysimdjson"),
        _onnx,
    ),
    Contestant(
        "fastapi-sklearn",
        "FastAPI + scikit-learn",
        _fastapi_sklearn,
        _plain,
        (*WEB, "scikit-learn", "pandas", "joblib"),
        ("fastapi", "uvicorn", "scikit-learn"),
        _scikit,
    ),
    Contestant(
        "fastapi-ort",
        "FastAPI + ONNX Runtime",
        _uvicorn("fastapi_ort:app"),
        _plain,
        (*WEB, *SERVERS),
        ("fastapi", "uvicorn", "onnxruntime"),
        _onnx,
    ),
    Contestant(
        "asgi-ort",
        "raw ASGI on uvicorn + ONNX Runtime",
        _uvicorn("asgi_ort:app"),
        _plain,
        ("uvicorn==0.54.0", "uvloop", "httptools", "msgspec", *SERVERS),
        ("uvicorn", "msgspec", "onnxruntime"),
        _onnx,
    ),
    Contestant(
        "mlserver",
        "MLServer + ONNX Runtime",
        _mlserver("ort"),
        _mlserver_asked("ort"),
        ("mlserver==1.7.1", "uvloop==0.21.0", *SERVERS),  # its worker pool fails on newer uvloop
        ("mlserver", "onnxruntime"),
        _onnx,
    ),
    Contestant(
        "mlserver-sklearn",
        "MLServer + scikit-learn",
        _mlserver("sklearn"),
        _mlserver_asked("sklearn"),
        ("mlserver==1.7.1", "mlserver-sklearn==1.7.1", "uvloop==0.21.0", "scikit-learn"),
        ("mlserver", "mlserver-sklearn", "scikit-learn"),
        lambda model: model.scikit and not model.records,
    ),
    Contestant(
        "bentoml",
        "BentoML + ONNX Runtime",
        _bentoml,
        lambda _: (json_dialect("/predict", "rows"),),
        ("bentoml==1.4.40", *SERVERS),
        ("bentoml", "onnxruntime"),
        _onnx,
    ),
    Contestant(
        "litserve",
        "LitServe + ONNX Runtime",
        _python("lit_server.py"),
        _plain,
        ("litserve==0.2.19", *SERVERS),
        ("litserve", "onnxruntime"),
        _onnx,
    ),
    Contestant(
        "kserve",
        "KServe's Python server + ONNX Runtime",
        _python("kserve_server.py"),
        _kserve_asked,
        ("kserve==0.21.0", *SERVERS),
        ("kserve", "onnxruntime"),
        _onnx,
    ),
    Contestant(
        "mlflow",
        "MLflow models serve",
        _mlflow,
        _mlflow_asked,
        ("mlflow==3.17.2", "scikit-learn", "onnx", *SERVERS, "joblib"),
        ("mlflow", "scikit-learn", "onnxruntime"),
        _onnx,
        start_timeout_s=180.0,
    ),
    Contestant(
        "ray-serve",
        "Ray Serve + ONNX Runtime",
        _ray,
        _plain,
        ("ray[serve]==2.60.0", *SERVERS),
        ("ray", "onnxruntime"),
        _onnx,
        pausable=False,
        start_timeout_s=240.0,
    ),
)
BY_NAME = {one.name: one for one in CONTESTANTS}
