"""A `model.tar.gz`, or one bare model file, becomes a proven bundle: what SageMaker's ModelDataUrl points at.

An archive is read member by member, under limits; nothing of it is run, and nothing is unpickled.
"""

from __future__ import annotations

import tarfile
import zlib
from pathlib import Path, PurePosixPath

from modelport.domain.errors import InvalidInput, PayloadTooLarge, Refused
from modelport.domain.registry import CodeUse
from modelport.sdk.bundle import Bundle, restore
from modelport.wire.manifest import MANIFEST_BYTES_MAX, decode_manifest

MANIFEST = "manifest.json"
MEMBERS_MAX = 10_000
PACKED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ")
REPACK = "make it anew: tar -czf model.tar.gz -C FOLDER ."
CODE_FOLDER = "code/"
HANDLER = "code/inference.py"
MLFLOW = "MLmodel"
PICKLES = (".joblib", ".pickle", ".pkl", ".pt", ".pth")


def read_archive(path: Path, folder: Path, use: CodeUse, *, bytes_max: int) -> Bundle | None:
    """Return the bundle of what an archive holds: a modelport bundle as it is, or an ONNX file, proven here.

    Args:
        path: A tar file, plain or compressed, or an ONNX file.
        folder: Where it is unpacked to; must exist.
        use: When it is code instead.
        bytes_max: Largest size of everything in it, unpacked.

    Returns:
        The bundle; None: it is code, and lies in the folder.

    Raises:
        InvalidInput: Nothing in it can be served, or it is damaged; says what was found.
        PayloadTooLarge: It unpacks to more than allowed.
        Refused: A member would be written elsewhere.
        ConversionFailed: The ONNX file is of a kind that cannot be served.
        CheckFailed: The adapted graph does not answer as the file does.
    """
    if not tarfile.is_tarfile(path):
        with path.open("rb") as file:
            if file.read(6).startswith(PACKED):
                raise InvalidInput("the archive cannot be read: it is packed, but no tar file", hint=REPACK)
        return _bundle_from_onnx(path)
    names = unpack(path, folder, bytes_max=bytes_max)
    graphs = [name for name in names if name.endswith(".onnx")]
    if use is CodeUse.ALWAYS or _scripts(names):
        return None
    if use is CodeUse.MAYBE and MANIFEST not in names and (not graphs or _is_of_mlflow(names)):
        return None  # also an ONNX model of MLflow: its image promises MLflow's own answers
    return _bundle_of_folder(folder, names)


def _is_of_mlflow(names: list[str]) -> bool:
    """Return whether an archive is a folder that MLflow wrote, or has one."""
    return any(PurePosixPath(name).name == MLFLOW and name.count("/") <= 1 for name in names)


def _scripts(names: list[str]) -> bool:
    """Return whether the folder of code holds a script, whatever it is called."""
    return any(name.startswith(CODE_FOLDER) and name.endswith(".py") for name in names)


def unpack(path: Path, folder: Path, *, bytes_max: int) -> list[str]:
    """Write the regular files of a tar file below a folder; return their names, sorted.

    Args:
        path: The tar file, plain or compressed.
        folder: Where to; must exist.
        bytes_max: Largest size of all files together.

    Raises:
        InvalidInput: It is damaged, or holds too many members.
        PayloadTooLarge: The files are larger than allowed.
        Refused: A member is neither file nor folder, or would lie outside the folder.
    """
    names = []
    left = bytes_max
    try:
        with tarfile.open(path) as archive:
            for count, member in enumerate(archive):
                if count >= MEMBERS_MAX:
                    raise InvalidInput(f"the archive has more than {MEMBERS_MAX} members")
                if member.isdir():
                    continue
                left -= member.size
                if left < 0:
                    raise PayloadTooLarge(f"the archive unpacks to more than {bytes_max} bytes")
                names.append(_write_member(archive, member, folder))
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise InvalidInput(f"the archive cannot be read: {error}", hint=REPACK) from error
    return sorted(names)


def _write_member(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> str:
    try:
        plain = tarfile.data_filter(member, str(folder))
    except tarfile.FilterError as error:
        raise Refused(
            f"the archive's member {member.name[:200]!r} is refused: {error}",
            hint="pack plain files with relative names",
        ) from error
    if not plain.isfile():
        raise Refused(
            f"the archive's member {member.name[:200]!r} is a link or a device", hint="pack plain files"
        )
    archive.extract(plain, folder, set_attrs=False, filter="data")
    return str(PurePosixPath(plain.name))


def _bundle_of_folder(folder: Path, names: list[str]) -> Bundle:
    if MANIFEST in names:
        return _bundle_of_manifest(folder, names)
    graphs = [name for name in names if name.endswith(".onnx")]
    if len(graphs) == 1:
        return _bundle_from_onnx(folder / graphs[0])
    if graphs:
        raise InvalidInput(
            f"the archive holds {len(graphs)} ONNX files ({', '.join(graphs[:3])}, …), expected one",
            hint="pack the one to serve",
        )
    raise InvalidInput(
        f"the archive holds nothing that can be served here: {_tell(names)}", hint=_advise(names)
    )


def _bundle_of_manifest(folder: Path, names: list[str]) -> Bundle:
    manifest = folder / MANIFEST
    if manifest.stat().st_size > MANIFEST_BYTES_MAX:
        raise InvalidInput(f"{MANIFEST} is larger than {MANIFEST_BYTES_MAX} bytes")
    content = manifest.read_bytes()
    wanted = decode_manifest(content).files
    return restore(content, {name: (folder / name).read_bytes() for name in names if name in wanted})


def _bundle_from_onnx(path: Path) -> Bundle:
    try:
        from modelport.sdk.registering import build_bundle_from_onnx
    except ModuleNotFoundError as error:
        raise InvalidInput(
            f"reading an ONNX file needs {error.name}, which is not installed on the server",
            hint='pip install "modelport[sklearn]" there',
        ) from error
    return build_bundle_from_onnx(path)


def _tell(names: list[str]) -> str:
    shown = ", ".join(names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown or "it is empty"


def _advise(names: list[str]) -> str:
    if any(PurePosixPath(name).name == PurePosixPath(HANDLER).name for name in names):
        return f"code is looked for in {HANDLER}: pack it there"
    if _is_of_mlflow(names):
        return "it is a model of MLflow: name the image .../mlflow-pyfunc:VERSION, and MLflow serves it"
    if any(name.endswith(PICKLES) for name in names):
        return "no pickle is loaded on the server; convert it: modelport register PATH --name NAME --trust"
    return f"pack an .onnx file, or a bundle with its {MANIFEST}"
