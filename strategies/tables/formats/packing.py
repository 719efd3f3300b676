"""What a file is packed in, by its name: ``.gz``, ``.zst``, ``.bz2``, and ``.zip``, where a file of it may be named."""

import bz2
import gzip
import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Any, BinaryIO, cast

import pyarrow as pa

from batch_jobs.strategies.sdk.errors import InputRefused
from batch_jobs.strategies.sdk.files import MEMBER

if TYPE_CHECKING:
    from batch_jobs.strategies.tables.formats.reading import Input

_ARCHIVE = f".zip{MEMBER}"
BLOCK = 1 << 20
#: A file that is to be read here and there is unpacked to a temporary one: up to here in any case, and beyond only
#: where it does not become more than so many times as large.
ALWAYS_UNPACKED = 1 << 28
LARGEST_RATIO = 100
#: A text is read as it is unpacked, however much that is; what becomes more than deflate can pack (1,032 times) was
#: packed several times over, or made to be a bomb.
ALWAYS_STREAMED = 1 << 32
LARGEST_STREAMED_RATIO = 1_100
#: Bytes of an archive's directory, which is held whole: some 80,000 files.
LARGEST_DIRECTORY = 1 << 23
#: What the libraries say of damage.
DAMAGE = re.compile("ZSTD|zstd|Invalid data stream")
#: How packed files are called in a refusal, by the end of their names.
KINDS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bzip2"}


def split_member(key: str) -> tuple[str, str | None]:
    """The key of a file, and the name of the file in it where one is named: ``a.zip#b.csv``."""
    place = key.lower().find(_ARCHIVE)
    if place < 0:
        return key, None
    end = place + len(_ARCHIVE)
    return key[: end - 1], key[end:] or None


def is_zip(name: str) -> bool:
    """Whether a file is an archive, by its name."""
    return name.lower().endswith(".zip")


def bare_name(name: str) -> str:
    """The name of what is in a packed file: ``a.zip#b.csv.gz`` is ``b.csv``; an archive without a member has none."""
    _, member = split_member(name)
    name = member or name
    while (suffix := PurePosixPath(name).suffix.lower()) in KINDS:
        name = name[: -len(suffix)]
    return name


def is_packed(name: str) -> bool:
    """Whether the bytes of the table are other ones than the file's."""
    return is_zip(split_member(name)[0]) or bare_name(name) != name


class _Damaged(Exception):
    """What is read is not what its name says."""


@contextmanager
def unpacked(source: "Input") -> Iterator[BinaryIO]:
    """Open the input, unpacking it by its name; a damaged file is refused wherever reading meets it.

    Raises:
        InputRefused: also by what is read in the block.
    """
    with ExitStack() as opened, _refusals(source):
        stream = opened.enter_context(source() if source.member is None else _member(source, source.member))
        name = (source.member or source.name).lower()
        while (suffix := PurePosixPath(name).suffix) in KINDS:
            name, stream = name.removesuffix(suffix), _OPENERS[suffix](stream)
        if PurePosixPath(name).suffix not in KINDS and name != source.name.lower():
            bounded = _Unpacking(stream.read, partial(_refuse_bomb, source))
            stream = cast(BinaryIO, io.BufferedReader(bounded, BLOCK))
        yield stream


def _refuse_bomb(source: "Input", unpacked_size: int) -> None:
    if unpacked_size > max(ALWAYS_STREAMED, LARGEST_STREAMED_RATIO * source.size):
        raise InputRefused(
            source.name,
            f"it unpacks to more than {ALWAYS_STREAMED >> 30} GB and {LARGEST_STREAMED_RATIO:,} times its size; "
            "unpack it yourself if that is right",
        )


@contextmanager
def opened_archive(stream: BinaryIO, name: str) -> Iterator[zipfile.ZipFile]:
    """Open an archive.

    Raises:
        InputRefused: it has so many files that their names fill the memory.
        BadZipFile: it is none.
    """
    directory = _Directory(stream, name)
    with zipfile.ZipFile(cast(BinaryIO, directory)) as archive:
        directory.is_read = True
        yield archive


class Borrowed(io.RawIOBase):
    """A stream that closing leaves open, for the next pass."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def readable(self) -> bool:
        """It can be read."""
        return True

    def seekable(self) -> bool:
        """It can be read here and there."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place, and return it."""
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        """The place."""
        return self._stream.tell()

    def read(self, size: int | None = -1) -> bytes:
        """The next bytes."""
        return self._stream.read(-1 if size is None else size)


class _Directory(Borrowed):
    """An archive with a bounded directory: that is read at once when the archive is opened."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        super().__init__(stream)
        self._name = name
        self.is_read = False

    def read(self, size: int | None = -1) -> bytes:
        if not self.is_read and (size or 0) > LARGEST_DIRECTORY:
            raise InputRefused(self._name, "it has too many files in it; make an archive of those that are to be read")
        return super().read(size)


@contextmanager
def _member(source: "Input", name: str) -> Iterator[BinaryIO]:
    with opened_archive(source.held(), source.name) as archive:
        try:
            stream = archive.open(name)
        except (NotImplementedError, RuntimeError) as error:  # packed in a way of its own, or with a password
            raise InputRefused(source.name, f"it cannot be unpacked: {' '.join(str(error).split())}") from None
        with stream:
            yield cast(BinaryIO, stream)


@contextmanager
def _refusals(source: "Input") -> Iterator[None]:
    """Damage as a refusal in one line."""
    suffix = PurePosixPath(source.member or source.name).suffix.lower()
    suffix = suffix if suffix in KINDS else ".zip"
    kind = KINDS.get(suffix, "zip")
    try:
        yield
    except EOFError:
        raise InputRefused(source.name, f"the {kind} file ends too early; it was cut off, upload it again") from None
    except (gzip.BadGzipFile, zipfile.BadZipFile, zlib.error, _Damaged):
        raise InputRefused(source.name, f"it is named {suffix} and is not a {kind} file, or is damaged") from None


def chosen_member(stream: BinaryIO, name: str, wanted: str | None, is_table: Callable[[str], bool]) -> str:
    """The name of the file in an archive that is to be read: the one wanted, or the only table there is.

    Raises:
        InputRefused: it is no archive, has no such file, or no table, or several.
    """
    try:
        with opened_archive(stream, name) as archive:
            names = [info.filename for info in archive.infolist() if not info.is_dir()]
    except (zipfile.BadZipFile, OSError):
        raise InputRefused(name, "it is named .zip and is not a zip file, or is damaged") from None
    if wanted is not None:
        if wanted not in names:
            raise InputRefused(name, f"it has no file {wanted}; it has: {_listed(names)}")
        return wanted
    visible = [name for name in names if not _is_hidden(name)]
    tables = visible if len(visible) == 1 else [name for name in visible if is_table(name)]
    if len(tables) == 1:
        return tables[0]
    example = f"{name}{MEMBER}{(tables or visible or ['prices.csv'])[0]}"
    if tables:
        raise InputRefused(name, f"it has {len(tables)} tables: {_listed(tables)}; name one, as {example}")
    raise InputRefused(name, f"it has no table; it has: {_listed(names) or 'nothing'}; name a file, as {example}")


def copy_within_bounds(source: BinaryIO, target: BinaryIO, name: str, packed_size: Callable[[], int]) -> None:
    """Copy what is unpacked, unless it is a bomb.

    Raises:
        InputRefused: it became far larger than what it was packed in.
    """
    done = 0
    while block := source.read(BLOCK):
        target.write(block)
        done += len(block)
        if done > ALWAYS_UNPACKED and done > LARGEST_RATIO * packed_size():
            raise InputRefused(
                name,
                f"it unpacks to more than {ALWAYS_UNPACKED >> 20} MB and {LARGEST_RATIO} times its size; "
                "unpack it yourself if that is right",
            )


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:10])
    return f"{shown} and {len(names) - 10} more" if len(names) > 10 else shown


def _is_hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)


class _Unpacking(io.RawIOBase):
    """A stream that is unpacked by a library whose errors of damage look like those of reading."""

    def __init__(self, read: Callable[[int], bytes], note: Callable[[int], None] | None = None) -> None:
        self._read, self._note, self._size = read, note, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            block = self._read(len(buffer))
        except OSError as error:
            if "runcated" in str(error):
                raise EOFError from None
            if DAMAGE.search(str(error)):
                raise _Damaged from None
            raise
        self._size += len(block)
        if self._note is not None:
            self._note(self._size)
        buffer[: len(block)] = block
        return len(block)


def _gzip(stream: BinaryIO) -> BinaryIO:
    return cast(BinaryIO, gzip.GzipFile(fileobj=stream, mode="rb"))


def _bzip2(stream: BinaryIO) -> BinaryIO:
    return cast(BinaryIO, io.BufferedReader(_Unpacking(bz2.BZ2File(stream).read), BLOCK))


def _zstd(stream: BinaryIO) -> BinaryIO:
    packed = pa.CompressedInputStream(pa.PythonFile(stream, "r"), "zstd")
    return cast(BinaryIO, io.BufferedReader(_Unpacking(packed.read), BLOCK))


_OPENERS: dict[str, Callable[[BinaryIO], BinaryIO]] = {".gz": _gzip, ".bz2": _bzip2, ".zst": _zstd}
