"""What importing costs: `import modelport` loads next to nothing, and a command only what it needs."""

import json
import subprocess
import sys

import pytest

HEAVY = {"numpy", "sqlalchemy", "onnxruntime", "pandas", "sklearn", "onnx", "pyarrow", "fastapi", "uvicorn"}
IMPORT_SECONDS_MAX = 0.2
TRIES = 5

PROBE = """
import json, sys, time
began = time.perf_counter()
{code}
took = time.perf_counter() - began
loaded = [name for name, module in sys.modules.items() if module is not None]  # None: barred
print(json.dumps({{"took": took, "modules": sorted(name.partition(".")[0] for name in loaded)}}))
"""


def probe(code):
    """Run code in a fresh interpreter; return the seconds it took and the packages it loaded."""
    done = subprocess.run([sys.executable, "-c", PROBE.format(code=code)], capture_output=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return found["took"], set(found["modules"])


def test_import_modelport_is_quick_and_loads_nothing_heavy():
    tries = [probe("import modelport") for _ in range(TRIES)]
    assert not HEAVY & tries[0][1]
    assert "httpx" not in tries[0][1]
    assert min(took for took, _ in tries) <= IMPORT_SECONDS_MAX


@pytest.mark.parametrize("name", ["deploy", "register", "endpoint", "batch", "monitor", "start"])
def test_naming_a_function_loads_nothing_heavy(name):
    _, loaded = probe(f"import modelport as mp; mp.{name}")
    assert not HEAVY & loaded


@pytest.mark.parametrize("command", ["deploy", "endpoints", "events", "jobs", "models", "up", "status"])
def test_a_command_loads_only_what_it_needs(command):
    _, loaded = probe(f"from modelport.cli.commands import load; load('{command}')")
    assert not HEAVY & loaded
    assert not {"rich", "pygments", "pydantic"} & loaded


def test_starting_the_platform_needs_no_client():
    _, loaded = probe("from modelport.cli.commands import load; load('up')")
    assert "httpx" not in loaded
