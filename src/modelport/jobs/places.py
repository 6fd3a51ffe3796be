"""Where a batch job reads and writes: local paths through the file system itself, URLs through fsspec."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal, cast

from modelport.domain.errors import InvalidInput, NotFound

Format = Literal["parquet", "csv", "jsonl"]
EXTENSIONS: dict[str, Format] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://", re.ASCII)


@dataclass(frozen=True, slots=True)
class Found:
    """One input file.

    Args:
        url: Where it lies.
        size: Bytes.
        stamp: Changes when the content does: the time of change, or the store's own tag.
    """

    url: str
    size: int
    stamp: str


def is_remote(url: str) -> bool:
    """Return whether this is a URL for fsspec (`file://` counts as local)."""
    return URL.match(url) is not None and not url.startswith("file://")


def local_path(url: str) -> Path:
    """Return the path of a local URL."""
    return Path(url.removeprefix("file://")).expanduser()


def extension(url: str) -> tuple[Format | None, str | None]:
    """Return the (format, compression) a name tells, each None where it tells none."""
    suffixes = [suffix.lower() for suffix in PurePosixPath(url).suffixes]
    compression = COMPRESSIONS.get(suffixes[-1]) if suffixes else None
    if compression is not None:
        suffixes.pop()
    return (EXTENSIONS.get(suffixes[-1]) if suffixes else None), compression


def list_inputs(url: str, wanted: Format | None) -> tuple[list[Found], Format]:
    """Return the files to read, sorted by name, and their one format.

    In a folder every file of a known extension counts, at any depth; names that begin with a dot or an
    underscore do not.

    Args:
        url: A file, a folder or an fsspec URL.
        wanted: The format, or None to tell it from the extension.

    Raises:
        NotFound: There is nothing there.
        InvalidInput: The format cannot be told, or the folder mixes formats.
    """
    found, is_file = _list_remote(url) if is_remote(url) else _list_local(local_path(url))
    if not is_file:
        found = [file for file in found if _visible(file.url, url) and _matches(file.url, wanted)]
    if not found:
        raise NotFound(
            f"{url} holds no {wanted or 'Parquet, CSV or JSON Lines'} files",
            hint="name the files .parquet, .csv or .jsonl, or say --input-format",
        )
    formats = {wanted or extension(file.url)[0] for file in found}
    told = formats.pop()
    if formats:
        raise InvalidInput(f"{url} mixes formats: {told} and {formats.pop()}", hint="say --input-format")
    if told is None:
        raise InvalidInput(f"cannot tell the format of {url} from its name", hint="say --input-format")
    return sorted(found, key=lambda file: file.url), told


def open_input(url: str) -> Any:
    """Open a file for reading as an Arrow source with `read`, `seek` and `size`.

    Raises:
        NotFound: It is gone.
    """
    import pyarrow as pa

    if is_remote(url):
        return pa.PythonFile(_file_system(url).open(_inner(url), "rb"), mode="r")
    try:
        return pa.OSFile(str(local_path(url)), "rb")
    except FileNotFoundError:
        raise NotFound(f"{url} is gone", hint="start the job again") from None


def upload(source: Path, url: str) -> None:
    """Copy a finished local file to a URL; object stores show it whole or not at all."""
    system = _file_system(url)
    system.makedirs(str(PurePosixPath(_inner(url)).parent), exist_ok=True)
    system.put_file(str(source), _inner(url))


def write_remote(url: str, content: bytes) -> None:
    """Write a small file to a URL."""
    with cast("IO[bytes]", _file_system(url).open(_inner(url), "wb")) as file:
        file.write(content)


def is_empty(url: str) -> bool:
    """Return whether a folder is not there or holds nothing."""
    if is_remote(url):
        system = _file_system(url)
        return not system.exists(_inner(url)) or not system.ls(_inner(url), detail=False)
    path = local_path(url)
    return not path.exists() or (path.is_dir() and not any(path.iterdir()))


def _list_local(path: Path) -> tuple[list[Found], bool]:
    def describe(file: Path) -> Found:
        stat = file.stat()
        return Found(str(file), stat.st_size, str(stat.st_mtime_ns))

    path = path.absolute()
    if path.is_file():
        return [describe(path)], True
    if not path.is_dir():
        raise NotFound(f"no file or folder {str(path)!r}", hint="check the path")
    return [describe(file) for file in path.rglob("*") if file.is_file()], False


def _list_remote(url: str) -> tuple[list[Found], bool]:
    system = _file_system(url)
    inner = _inner(url)

    def describe(info: dict[str, Any]) -> Found:
        stamp = next(
            (info[key] for key in ("ETag", "etag", "md5", "mtime", "LastModified", "created") if key in info),
            "",
        )
        return Found(system.unstrip_protocol(info["name"]), int(info["size"] or 0), str(stamp))

    try:
        if system.isfile(inner):
            return [describe(system.info(inner))], True
        entries = system.find(inner, detail=True)
    except FileNotFoundError:
        entries = {}
    if not entries:
        raise NotFound(f"nothing at {url}", hint="check the URL")
    return [describe(info) for info in entries.values()], False


def _visible(file: str, folder: str) -> bool:
    base = _inner(folder) if is_remote(folder) else str(local_path(folder).absolute())
    inner = _inner(file) if is_remote(file) else file
    parts = PurePosixPath(inner.removeprefix(base)).parts
    return not any(part.startswith(("_", ".")) for part in parts)


def _matches(file: str, wanted: Format | None) -> bool:
    told = extension(file)[0]
    return told is not None if wanted is None else told == wanted


def _file_system(url: str) -> Any:
    import fsspec

    try:
        return fsspec.filesystem(url.partition("://")[0])
    except (ImportError, ValueError) as error:
        raise InvalidInput(f"cannot reach {url}: {error}", hint="install the named package") from error


def _inner(url: str) -> str:
    system = _file_system(url)
    return str(system._strip_protocol(url))  # noqa: SLF001 - fsspec documents it for file systems' users
