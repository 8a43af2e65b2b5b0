"""The disk cache: files under the hash of their key, in a folder that is private to the user.

A file is read only if it is the user's own, nobody else may write it, and its digest is right; anything else is a miss.
Writing is atomic. Where the folder cannot be made, is not ours or may be written by others, nothing is kept, and nothing fails.
The folder that the user names may hold other files: the cache is a folder in it, and removes only what it wrote itself.
Its files lie in 256 folders, and a write looks through those of one part at most: through all 53,000 files took half a second.
"""

import functools
import hashlib
import io
import os
import platform
import re
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from importlib import util
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import platformdirs
from llvmlite import binding

from nbad import config
from nbad.version import VERSION

MAGIC = b"nbad cache 1\n"
DIGEST = 32
OWN = "nbad-cache"  # the folder of the cache, in the one that the user names
NAME = re.compile(r"[0-9a-f]{64}\.nbad(\.\w+\.tmp)?")  # of a file, and while it is written
LEFTOVER = 3600  # seconds after which a temporary file is that of a writer that died
FOLDERS = [f"{k:02x}" for k in range(256)]  # a file's is the start of its name
PART = 4 << 20  # bytes that a part of the cache, the folders that are trimmed together, has at least; a small cache is one part
BLOCK = 4096  # bytes that a file takes at least on most disks
LOOKS = 64  # one write in so many looks at the size of a part of the cache, and so does every write of that share of it
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class _File(NamedTuple):
    """One file of the cache: when it was used last, its size on the disk, and where it is."""

    used: float
    nbytes: int
    path: str


class CacheInfo(NamedTuple):
    """What the disk cache holds; `problem` says why there is none, or why it does not grow."""

    folder: Path | None
    files: int
    nbytes: int
    limit: int
    problem: str | None

    def __str__(self) -> str:
        if self.folder is None:
            return f"no disk cache: {self.problem}"
        held = f"{self.folder}: {self.files} files, {self.nbytes / 2**20:.1f} of at most {self.limit / 2**20:.0f} MiB"
        return f"{held}; {self.problem}" if self.problem else held


def load(key: str) -> bytes | None:
    """What was stored under a key; None where there is nothing that can be trusted.

    Examples
    --------
    >>> load("never stored")
    """
    folder, _ = _folder()
    data = None if folder is None else _read_private(_path(folder, key))
    if data is None:
        return None
    body = data[len(MAGIC) + DIGEST :]
    return body if data == _sealed(key, body) else None


def store(key: str, data: bytes) -> bool:
    """Keep data under a key; False where the disk cannot.

    Parameters
    ----------
    key : str
        Any text that says all that the data depend on.
    data : bytes

    Returns
    -------
    bool
    """
    folder, _ = _folder()
    if folder is None:
        return False
    try:
        path = _path(folder, key)
        _write(path, _sealed(key, data))
    except OSError:
        return False
    _look(folder, path, len(data))
    return True


def load_own(key: str) -> bytes | None:
    """What this very nbad stored, with the same libraries and on the same CPU; None where there is nothing.

    Examples
    --------
    >>> load_own("never stored")
    """
    stamp = _stamp()
    return load(f"{stamp} {key}") if stamp else None


def store_own(key: str, data: bytes) -> bool:
    """Keep what follows from the key by nbad's own rules: another version of nbad or of SymPy does not see it."""
    stamp = _stamp()
    return stamp is not None and store(f"{stamp} {key}", data)


def text_of(key: str, make: Callable[[], str]) -> str:
    """The text under a key, made and stored where there is none: the worker's IR takes 50 ms to print, and 1 to find.

    Examples
    --------
    >>> text_of("greeting", lambda: "hello")
    'hello'
    """
    data = load_own(key)
    if data is None:
        data = make().encode()
        store_own(key, data)
    return data.decode()


def info() -> CacheInfo:
    """What the disk cache holds."""
    folder, problem = _folder()
    files = _files(folder, FOLDERS)
    if problem is None and _stamp() is None:
        problem = "little is kept: nbad's files are not there, or changed since it was imported"
    return CacheInfo(
        None if folder is None else Path(folder), len(files), sum(file.nbytes for file in files), config.cache_bytes(), problem
    )


def clear() -> int:
    """Remove all files of the disk cache; return how many."""
    folder, _ = _folder()
    return sum(_remove(file.path) for file in _files(folder, FOLDERS))


def cache_folder() -> Path | None:
    """Where machine code and plans are kept; None where they are not.

    Examples
    --------
    >>> cache_folder() == info().folder
    True
    """
    folder, _ = _folder()
    return None if folder is None else Path(folder)


def _home() -> str | None:
    """The folder in which that belongs; None where there is none.

    As text, like all paths here that are asked for often: with pathlib to find a file took 1.6 times as long.
    """
    chosen = os.environ.get("NBAD_CACHE_DIR") or platformdirs.user_cache_dir("nbad", appauthor=False)
    folder = os.path.expanduser(chosen)
    return folder if os.path.isabs(folder) else None


@functools.cache
def _stamp() -> str | None:
    """Hash of what shapes a text beside its key: nbad's sources, and what derives partials and computes constants for it.

    Without sources that is nbad's byte code, or the archive that holds the package; None where there is none of these, or where
    one changed since nbad was imported: what was imported before must not be kept as that of the newer one.
    """
    package = Path(__file__).parents[1]
    found = sorted(package.glob("**/*.py")) or sorted(package.glob("**/*.pyc")) or [p for p in package.parents if p.is_file()]
    if not found or max(max(status.st_ctime, status.st_mtime) for status in map(os.stat, found)) > config.IMPORTED:
        return None
    digest = hashlib.sha256(repr((VERSION, sys.version, np.__version__, _sympy(), _libc(), _cpu())).encode())
    for path in found:
        digest.update(f"\n{os.path.relpath(path, package)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def _sympy() -> bytes:
    """The version of the SymPy that would be imported, without importing it; where that cannot be read, one of our own."""
    spec: Any = util.find_spec("sympy")
    try:
        return spec.loader.get_data(str(Path(spec.origin).with_name("release.py")))
    except (AttributeError, TypeError, OSError):
        return os.urandom(16)


def _libc() -> str | None:
    """The version of the C library, whose functions compute constants."""
    try:
        return os.confstr("CS_GNU_LIBC_VERSION")
    except (AttributeError, ValueError):
        return platform.platform()


def _cpu() -> tuple[str, str]:
    """This machine's own CPU: the C library and NumPy choose their functions by it."""
    return binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten()


def _path(folder: str, key: str) -> str:
    name = hashlib.sha256(key.encode()).hexdigest()
    return f"{folder}{os.sep}{name[:2]}{os.sep}{name}.nbad"


def _sealed(key: str, data: bytes) -> bytes:
    """A file's contents. The digest binds them to the key, so that no file can pass for another."""
    return MAGIC + hashlib.sha256(b"%d:" % len(key) + key.encode() + data).digest() + data


def _folder() -> tuple[str | None, str | None]:
    """The folder, made where it is missing, if it is private; and what is wrong with it."""
    home = _home()
    if home is None:
        chosen = os.environ.get("NBAD_CACHE_DIR")
        return None, f"NBAD_CACHE_DIR is no absolute path: {chosen!r}" if chosen else "there is no home folder"
    if not config.cache_bytes():
        return None, "NBAD_CACHE_BYTES is 0"
    folder = os.path.join(home, OWN)
    try:
        if not os.path.exists(folder):
            _make_private(Path(folder))
        problem = _problem(home) or _problem(folder)
    except OSError as error:
        return None, f"{home}: {error.strerror}"
    if problem:
        return None, problem
    return folder, None if os.access(folder, os.W_OK | os.X_OK) else f"{folder} is read-only"


def _make_private(folder: Path) -> None:
    """Make a folder and those above it, for the user alone."""
    if not folder.exists():
        _make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def _problem(folder: str) -> str | None:
    """Why a folder is not private; None where it is."""
    status = os.stat(folder)
    if not _is_mine(status) or not _is_mine(os.lstat(folder)):
        return f"{folder} belongs to another user"
    if not stat.S_ISDIR(status.st_mode):
        return f"{folder} is not a folder"
    return f"{folder} may be written by others: chmod go-w {folder}" if _is_open(status) else None


def _is_mine(status: os.stat_result) -> bool:
    return not hasattr(os, "geteuid") or status.st_uid == os.geteuid()


def _is_open(status: os.stat_result) -> bool:
    """Whether others may write. Windows says that elsewhere, and puts the folder into the user's profile."""
    return os.name == "posix" and bool(status.st_mode & (stat.S_IWGRP | stat.S_IWOTH))


def _read_private(path: str) -> bytes | None:
    """The bytes of a regular file of ours that nobody else may write; None for any other."""
    try:
        with open(os.open(path, READ), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or not _is_mine(status) or _is_open(status):
                return None
            data = file.read()
    except OSError:
        return None
    with suppress(OSError):
        os.utime(path)  # the time of last change is that of last use: what was used least recently goes first
    return data


def _write(path: str, data: bytes) -> None:
    """Write a file that appears whole or not at all."""
    temporary = f"{path}.{os.urandom(8).hex()}.tmp"
    try:
        with _created(temporary) as file:
            file.write(data)
        os.replace(temporary, path)
    except OSError:
        _remove(temporary)
        raise


def _created(path: str) -> io.BufferedWriter:
    """A new file for the user alone; its folder is made where it is missing, which is seldom."""
    try:
        return open(os.open(path, CREATE, 0o600), "wb")
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        return open(os.open(path, CREATE, 0o600), "wb")


def _files(folder: str | None, inner: Iterable[str]) -> list[_File]:
    """The files with our names in some of the inner folders, oldest first; temporary ones only if their writer is dead.

    Clocks go wrong: a file from the future counts as the oldest.
    """
    found, now = [], time.time()
    for entry in _entries([os.path.join(folder, name) for name in inner] if folder else []):
        status = _status(entry)
        age = now - status.st_mtime if status else 0.0
        is_whole_or_left = not entry.name.endswith(".tmp") or abs(age) > LEFTOVER
        if status and is_whole_or_left and NAME.fullmatch(entry.name):
            nbytes = max(status.st_size, 512 * getattr(status, "st_blocks", 0))  # Windows does not tell the blocks
            found.append(_File(status.st_mtime if age > -LEFTOVER else 0.0, nbytes, entry.path))
    return sorted(found)


def _entries(folders: Iterable[str]) -> Iterator[os.DirEntry[str]]:
    """What the folders hold; nothing of those that are not there."""
    for folder in folders:
        try:
            yield from list(os.scandir(folder))
        except OSError:
            continue


def _status(entry: os.DirEntry[str]) -> os.stat_result | None:
    """None where another process removed the file meanwhile."""
    try:
        return entry.stat(follow_symlinks=False)
    except OSError:
        return None


def _look(folder: str, written: str, nbytes: int) -> None:
    """Now and then trim the part of the cache to which a file was written."""
    limit, count = config.cache_bytes(), len(FOLDERS)
    width = min(count, 1 << (count * PART // limit).bit_length())
    name = os.path.basename(written)
    if (nbytes + BLOCK) * LOOKS * count > limit * width or int(name[2:8], 16) % LOOKS == 0:
        k = FOLDERS.index(name[:2])
        _trim(_files(folder, FOLDERS[k - k % width :][:width]), limit * width // count)


def _trim(files: list[_File], limit: int) -> None:
    """Remove the files used least recently, the first ones, until the rest are within the limit."""
    total = sum(file.nbytes for file in files)
    for file in files:
        if total <= limit:
            return
        total -= file.nbytes
        _remove(file.path)


def _remove(path: str) -> bool:
    """Remove a file that begins like ours, as far as its writer came; whether it was there."""
    try:
        with open(os.open(path, READ), "rb") as file:
            is_ours = stat.S_ISREG(os.fstat(file.fileno()).st_mode) and MAGIC.startswith(file.read(len(MAGIC)))
        if is_ours:
            os.unlink(path)
    except OSError:
        return False
    return is_ours
