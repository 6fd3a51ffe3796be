"""What ModelDataUrl points at becomes a bundle, or a reason; nothing of an archive is trusted."""

from __future__ import annotations

import io
import tarfile

import pytest

from fakes.onnx_files import softmax_file
from modelport.domain.errors import InvalidInput, PayloadTooLarge, Refused
from modelport.domain.registry import CodeUse
from modelport.sdk.archives import read_archive, unpack

LARGE = 1 << 30


def look(archive, use=CodeUse.ASKED):
    """Return what an archive holds; it is unpacked beside itself."""
    folder = archive.with_name("unpacked")
    folder.mkdir()
    return read_archive(archive, folder, use, bytes_max=LARGE)


def pack(path, members, mode="w:gz"):
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture
def graph(tmp_path):
    return softmax_file(tmp_path / "graph.onnx").read_bytes()


@pytest.mark.parametrize("mode", ["w:gz", "w", "w:xz"])
def test_an_onnx_file_in_an_archive_is_proven(tmp_path, graph, mode):
    archive = pack(tmp_path / "model.tar.gz", {"./model.onnx": graph, "./notes.txt": b"hello"}, mode)
    bundle = look(archive)
    assert [feature.name for feature in bundle.signature.features]
    assert bundle.proof.rows > 0


def test_a_bare_onnx_file_will_do(tmp_path, graph):
    (tmp_path / "bare").write_bytes(graph)
    assert look(tmp_path / "bare").digest


def test_a_bundle_is_taken_as_it_is(tmp_path, graph):
    (tmp_path / "bare").write_bytes(graph)
    made = look(tmp_path / "bare")
    (tmp_path / "more").mkdir()
    archive = pack(tmp_path / "more" / "model.tar.gz", {"manifest.json": made.manifest, **made.files})
    assert look(archive).digest == made.digest


@pytest.mark.parametrize(
    ("members", "found", "advice"),
    [
        ({"model.joblib": b"x"}, "model.joblib", "no pickle"),
        ({"inference.py": b"x", "model.joblib": b"x"}, "inference.py", "code/inference.py"),
        ({}, "it is empty", "pack an .onnx file"),
        ({f"{n}.txt": b"" for n in range(9)}, "and 4 more", "pack an .onnx file"),
    ],
)
def test_what_cannot_be_served_is_told_with_what_to_do(tmp_path, members, found, advice):
    archive = pack(tmp_path / "model.tar.gz", members)
    with pytest.raises(InvalidInput, match=found) as caught:
        look(archive)
    assert advice in caught.value.hint


CODE = {"code/inference.py": b"x", "model.joblib": b"x"}
OWN_SCRIPT = {"code/serving.py": b"x", "model.joblib": b"x"}


@pytest.mark.parametrize(
    ("members", "use", "code"),
    [
        (CODE, CodeUse.ASKED, True),
        (OWN_SCRIPT, CodeUse.ASKED, True),
        ({"xgboost-model": b"x"}, CodeUse.MAYBE, True),
        ({"model.joblib": b"x"}, CodeUse.ALWAYS, True),
        ({}, CodeUse.ALWAYS, True),
        ("graph", CodeUse.MAYBE, False),
        ("graph", CodeUse.ALWAYS, True),
        ("graph and code", CodeUse.ASKED, True),
    ],
)
def test_what_is_code_is_left_unpacked(tmp_path, graph, members, use, code):
    if isinstance(members, str):
        members = {"model.onnx": graph} | (CODE if "code" in members else {})
    found = look(pack(tmp_path / "model.tar.gz", members), use)
    assert (found is None) is code
    unpacked = tmp_path / "unpacked"
    assert {str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if path.is_file()} == set(members)


def test_two_graphs_are_one_too_many(tmp_path, graph):
    archive = pack(tmp_path / "model.tar.gz", {"a.onnx": graph, "b.onnx": graph})
    with pytest.raises(InvalidInput, match="2 ONNX files"):
        look(archive)


@pytest.mark.parametrize("name", ["../outside", "a/../../outside"])
def test_no_member_is_written_elsewhere(tmp_path, name):
    archive = pack(tmp_path / "model.tar.gz", {name: b"x"})
    folder = tmp_path / "deep" / "folder"
    folder.mkdir(parents=True)
    with pytest.raises(Refused):
        unpack(archive, folder, bytes_max=LARGE)
    assert not list(tmp_path.rglob("outside"))


def test_an_absolute_name_stays_inside(tmp_path):
    archive = pack(tmp_path / "model.tar.gz", {"/etc/inside": b"x"})
    assert unpack(archive, tmp_path, bytes_max=LARGE) == ["etc/inside"]
    assert (tmp_path / "etc" / "inside").read_bytes() == b"x"


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_refused(tmp_path, kind):
    path = tmp_path / "model.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo("thing")
        member.type, member.linkname = kind, "target"
        archive.addfile(member)
    with pytest.raises(Refused, match="thing"):
        unpack(path, tmp_path, bytes_max=LARGE)


def test_an_archive_that_unpacks_to_too_much_is_refused_before_it_is_written(tmp_path):
    archive = pack(tmp_path / "model.tar.gz", {"zeros": bytes(1 << 20)})
    with pytest.raises(PayloadTooLarge):
        unpack(archive, tmp_path, bytes_max=1000)
    assert not (tmp_path / "zeros").exists()


def test_a_damaged_archive_says_so(tmp_path):
    path = pack(tmp_path / "model.tar.gz", {"model.bin": bytes(range(256)) * 4096})
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InvalidInput, match="cannot be read"):
        unpack(path, tmp_path, bytes_max=LARGE)
    path.write_bytes(b"\x1f\x8b no archive")
    with pytest.raises(InvalidInput, match="cannot be read"):
        look(path)
