"""kill -9 of a process that stores objects: what it acknowledged is there, and nothing is torn."""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from modelport.control.services.objects import ObjectStore
from modelport.domain.clock import SystemClock
from modelport.settings import HomeLayout
from modelport.stores.artifacts.local import LocalArtifacts
from modelport.stores.records.records import Records, sqlite_url

pytestmark = pytest.mark.processes
TIMES = 20
BUCKET = "bucket"
GONE = "gone"

# Says what it is about to do, does it, and says that it is done.
WRITER = """
import hashlib, itertools, random, sys
from pathlib import Path
from modelport.control.services.objects import ObjectStore
from modelport.domain.clock import SystemClock
from modelport.settings import HomeLayout
from modelport.stores.artifacts.local import LocalArtifacts
from modelport.stores.records.records import Records, sqlite_url

layout, chance = HomeLayout(Path(sys.argv[1])), random.Random(int(sys.argv[2]))
store = ObjectStore(Records(sqlite_url(layout.database), SystemClock()), LocalArtifacts(layout.artifacts))
for number in itertools.count():
    key, how = f"some/{chance.randrange(8)}", chance.choice(["put", "put", "parts", "delete"])
    content = b"" if how == "delete" else chance.randbytes(chance.choice([0, 10, 70_000, 3_000_000]))
    print(key, "gone" if how == "delete" else hashlib.md5(content).hexdigest(), flush=True)
    if how == "put":
        store.put("bucket", key, [content[:20_000], content[20_000:]])
    elif how == "parts":
        upload = store.uploads.begin("bucket", key, headers={}).upload_id
        part = store.uploads.put_part(upload, 1, [content])
        store.uploads.complete(upload, [(1, part.etag)])
    else:
        store.delete("bucket", [key])
    print("done", flush=True)
"""


def write_until_killed(home: Path, seed: int, steps: int, seconds: float) -> list[str]:
    """Let a writer work, kill it so long after it has taken so many steps, and return all that it said."""
    command = [sys.executable, "-c", WRITER, str(home), str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        said = [writer.stdout.readline().strip() for _ in range(steps)]
        time.sleep(seconds)  # somewhere within a write, which takes some milliseconds
        writer.send_signal(signal.SIGKILL)
        said += [line.strip() for line in writer.stdout if line.endswith("\n")]
    assert writer.returncode == -signal.SIGKILL
    return said


def stored(home: Path) -> dict[str, str]:
    """Return the MD5 of each object's bytes, after these were held against its ETag, size and digest."""
    layout = HomeLayout(home)
    records = Records(sqlite_url(layout.database), SystemClock())
    try:
        store = ObjectStore(records, LocalArtifacts(layout.artifacts))
        found = {}
        for item in store.list_objects(BUCKET).objects:
            content = store.path(item).read_bytes()
            md5 = hashlib.md5(content)
            joined = hashlib.md5(md5.digest()).hexdigest() + "-1"
            assert item.etag in (md5.hexdigest(), joined)
            assert item.size == len(content)
            found[item.key] = md5.hexdigest()
        for upload in store.uploads.of(BUCKET):
            for part in store.uploads.parts(upload.upload_id):
                content = LocalArtifacts(layout.artifacts).read(part.digest)
                assert hashlib.md5(content).hexdigest() == part.etag
        return found
    finally:
        records.close()


def test_every_listed_object_reads_back_after_every_kill(tmp_path: Path) -> None:
    layout = HomeLayout(tmp_path)
    records = Records(sqlite_url(layout.database), SystemClock())
    ObjectStore(records, LocalArtifacts(layout.artifacts)).create_bucket(BUCKET)
    records.close()
    chance = random.Random(1)
    expected: dict[str, str] = {}
    acknowledged = 0
    for seed in range(TIMES):
        said = write_until_killed(
            tmp_path, seed, steps=chance.randrange(1, 40), seconds=chance.random() * 0.03
        )
        allowed = {key: {value} for key, value in expected.items()}
        begun, done = said[::2], len(said) // 2
        for number, line in enumerate(begun):
            key, value = line.split()
            allowed[key] = {value} if number < done else allowed.get(key, {GONE}) | {value}
        found = stored(tmp_path)
        assert set(found) <= set(allowed)
        for key, values in allowed.items():
            assert found.get(key, GONE) in values
            expected[key] = found.get(key, GONE)
        acknowledged += done
    assert acknowledged > TIMES
