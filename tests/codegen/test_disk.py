"""The disk cache: nothing foreign, damaged, open to others or stale is read; nothing fails; the size is bounded."""

import math
import os
import resource
import shutil
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import platformdirs
import pytest
import sympy

from nbad import config
from nbad.codegen import disk
from nbad.errors import ArgumentValueError

BLOCK = 4096  # of the disk under the tests
TWO_WRITERS = """
from nbad.codegen import disk as cache
for k in range(40):
    data = b"%d" % k * 20000
    assert cache.load_own("shared") in (None, *(b"%d" % j * 20000 for j in range(40)))
    cache.store_own("shared", data)
print(len(cache.load_own("shared")) >= 20000)
"""
KILLED_WRITER = """
import os
from nbad.codegen import disk as cache
os.replace = lambda *paths: os._exit(0)
cache.store("key", b"x" * 100000)
"""
# Every sweep of a kernel of the gallery, as hexadecimal digits
SWEEPS = """
import sys
import numpy as np
sys.path.insert(0, {kernels!r})
import nbad
from black_scholes import price, sample_inputs
xs = sample_inputs(np.random.default_rng(0), 40000, np.float64)
y, pullback = nbad.vjp(price, *xs)
results = *price(*xs), *y, *pullback(y), nbad.jacobian(price)(*xs)
print(np.concatenate([r.ravel()[:: r.size // 100] for r in results]).tobytes().hex())
"""
# Kernels that take numbers from everywhere; all edits leave the size of the file as it is
EDITED = """
import math
import nbad
scale = {scale}

def helper(x):
    return math.exp({rate} * x)

@nbad.kernel
def inner(x):
    return x ** {power}

def make(offset):
    def by_closure(x):
        return math.sin(offset * x)
    return nbad.kernel(by_closure)

@nbad.kernel
def by_global(x):
    return scale * x * x

@nbad.kernel
def by_helper(x):
    return helper(x)

@nbad.kernel
def by_kernel(x):
    return inner(x) * x

@nbad.kernel
def by_default(x, k={default}):
    return x * x * k

@nbad.kernel(static="n")
def by_static(x, n):
    return x**n

by_closure = make({offset})
print([float(nbad.vjp(f, 0.5)[1](1.0)[0]) for f in (by_global, by_helper, by_kernel, by_closure, by_default)])
print(float(nbad.vjp(by_static, 0.5, n={power}, argnums="x")[1](1.0)[0]))
"""
BEFORE = dict(scale=2.0, rate=3.0, power=3, offset=2.5, default=4.0)
AFTER = dict(scale=7.0, rate=5.0, power=6, offset=1.5, default=8.0)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A cache folder that does not exist yet."""
    monkeypatch.setenv("NBAD_CACHE_DIR", str(tmp_path / "deep" / "cache"))
    return tmp_path / "deep" / "cache" / disk.OWN


@pytest.fixture
def file(folder):
    """The file of a stored key."""
    assert disk.store("key", b"value")
    (path,) = everything(folder)
    return path


def path_of(folder, key):
    """Where the value of a key lies, in a folder that is there."""
    path = Path(disk._path(folder, key))
    path.parent.mkdir(mode=0o700, exist_ok=True)
    return path


def everything(folder):
    """All files in it, however deep."""
    return sorted(path for path in folder.rglob("*") if not path.is_dir())


@pytest.fixture
def stranger(monkeypatch):
    """Files of another user: whose number is not ours."""
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)


def test_what_is_stored_is_loaded(folder):
    assert disk.load("key") is None
    assert disk.store("key", b"value")
    assert disk.load("key") == b"value"
    assert disk.load("other key") is None
    assert disk.store("key", b"")
    assert disk.load("key") == b""


def test_what_this_nbad_stored(folder):
    assert disk.load_own("plan") is None
    assert disk.store_own("plan", b"text")
    assert disk.load_own("plan") == b"text"
    assert disk.load("plan") is None


def test_what_other_sources_stored_is_not_seen(folder, monkeypatch):
    disk.store_own("plan", b"old")
    monkeypatch.setattr(disk, "_stamp", lambda: "another nbad")
    assert disk.load_own("plan") is None


def test_a_text_is_made_once(folder):
    made = []
    for _ in range(2):
        assert disk.text_of("worker", lambda: made.append("once") or "∂y/∂x\n") == "∂y/∂x\n"
    assert made == ["once"]


@pytest.mark.parametrize("part", ["_sympy", "_libc", "_cpu"])
def test_texts_depend_on_what_derives_and_computes(monkeypatch, part):
    before = disk._stamp.__wrapped__()
    assert disk._stamp.__wrapped__() == before
    monkeypatch.setattr(disk, part, lambda: "another")
    assert disk._stamp.__wrapped__() != before


def test_texts_depend_on_the_version_of_sympy(monkeypatch):
    assert sympy.__version__ in disk._sympy().decode()
    monkeypatch.setattr(disk.util, "find_spec", lambda name: SimpleNamespace(loader=None, origin="sympy/__init__.py"))
    assert disk._sympy() != disk._sympy(), "unknown versions are never the same"


def test_texts_depend_on_the_contents_of_nbads_sources(tmp_path, monkeypatch):
    """Not on size and time of the files, which an edit may leave as they are."""
    module, stamps = tmp_path / "ops.py", []
    monkeypatch.setattr(disk, "__file__", str(tmp_path / "codegen" / "disk.py"))
    for text in ("a = 1", "a = 2", "a = 1"):
        module.write_text(text)
        os.utime(module, (0, 0))
        monkeypatch.setattr(config, "IMPORTED", time.time() + 1.0)
        stamps.append(disk._stamp.__wrapped__())
    assert None not in stamps
    assert stamps[0] == stamps[2] != stamps[1]


@pytest.mark.parametrize(
    "change", [lambda module: module.write_text("a = 2"), lambda module: os.replace(module.parent / "b", module)]
)
def test_what_was_imported_before_an_upgrade_is_not_kept_as_that_of_the_newer_one(tmp_path, monkeypatch, change):
    for name in ("ops.py", "b"):
        (tmp_path / name).write_text("a = 1")
    monkeypatch.setattr(disk, "__file__", str(tmp_path / "codegen" / "disk.py"))
    time.sleep(0.02)  # the clock of files has ticks
    monkeypatch.setattr(config, "IMPORTED", time.time())
    assert disk._stamp.__wrapped__() is not None
    time.sleep(0.02)
    change(tmp_path / "ops.py")
    assert disk._stamp.__wrapped__() is None


def test_a_c_library_without_a_version_of_its_own(monkeypatch):
    def refuse(name):
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(os, "confstr", refuse)
    assert disk._libc() == disk.platform.platform()


def test_folder_and_files_are_private(folder, file):
    for path, mode in ((folder.parent, 0o700), (folder, 0o700), (file.parent, 0o700), (file, 0o600)):
        assert stat.S_IMODE(path.stat().st_mode) == mode


def test_private_whatever_the_umask(folder):
    old = os.umask(0)
    try:
        disk.store("key", b"value")
    finally:
        os.umask(old)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:10],
        lambda data: data[:-1],
        lambda data: data + b"!",
        lambda data: data[:-1] + b"E",
        lambda data: b"x" + data[1:],
        lambda data: b"\x80\x04N.",
    ],
)
def test_damaged_files_are_misses(file, damage):
    file.write_bytes(damage(file.read_bytes()))
    assert disk.load("key") is None
    assert disk.store("key", b"new")
    assert disk.load("key") == b"new"


def test_a_file_cannot_pass_for_another(folder, file):
    path_of(folder, "other").write_bytes(file.read_bytes())
    assert disk.load("other") is None


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_is_not_read(file, mode):
    file.chmod(mode)
    assert disk.load("key") is None


@pytest.mark.parametrize("is_above", [False, True])
@pytest.mark.parametrize("mode", [0o770, 0o702, 0o1777])
def test_a_folder_that_others_may_write_is_not_used(folder, file, mode, is_above):
    opened = folder.parent if is_above else folder
    opened.chmod(mode)
    assert disk.load("key") is None
    assert not disk.store("key", b"value")
    assert disk.info().problem == f"{opened} may be written by others: chmod go-w {opened}"
    assert disk.clear() == 0
    assert file.exists()


def test_a_folder_of_another_user_is_not_used(folder, file, stranger):
    assert disk.load("key") is None
    assert not disk.store("key", b"value")
    assert str(disk.info()) == f"no disk cache: {folder.parent} belongs to another user"


def test_a_file_of_another_user_is_not_read(file, monkeypatch):
    monkeypatch.setattr(disk, "_folder", lambda: (file.parents[1], None))
    assert disk.load("key") == b"value"
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert disk.load("key") is None


def test_links_and_pipes_are_not_read(folder, file):
    link, pipe = path_of(folder, "link"), path_of(folder, "pipe")
    link.symlink_to(file)
    os.mkfifo(pipe, 0o600)
    assert disk.load("link") is None
    assert disk.load("pipe") is None


def test_a_folder_behind_a_link_of_ours_is_used(tmp_path, monkeypatch):
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.setenv("NBAD_CACHE_DIR", str(tmp_path / "link"))
    assert disk.store("key", b"value")
    assert disk.load("key") == b"value"


def test_a_link_of_another_user_is_not_followed(folder, monkeypatch):
    monkeypatch.setattr(disk, "_is_mine", lambda status: not stat.S_ISLNK(status.st_mode))
    real = folder.parent / "real"
    real.mkdir(mode=0o700, parents=True)
    folder.symlink_to(real)
    assert not disk.store("key", b"value")
    assert "belongs to another user" in disk.info().problem


@pytest.mark.parametrize("make", [lambda path: path.write_text("not a folder"), lambda path: path.symlink_to("nowhere")])
def test_no_folder_in_its_place(tmp_path, monkeypatch, make):
    make(tmp_path / "cache")
    monkeypatch.setenv("NBAD_CACHE_DIR", str(tmp_path / "cache"))
    assert not disk.store("key", b"value")
    assert disk.load("key") is None
    assert disk.info().folder is None
    assert disk.clear() == 0


def test_a_folder_that_cannot_be_made(monkeypatch):
    monkeypatch.setenv("NBAD_CACHE_DIR", "/proc/nbad/cache")
    assert not disk.store("key", b"value")
    assert str(disk.info()).startswith("no disk cache: /proc/nbad/cache: ")


def test_a_read_only_folder_is_read(folder, file, monkeypatch):
    """Root may write anywhere, so the refusal is simulated."""

    def refuse(*args, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "access", lambda *args: False)
    monkeypatch.setattr(os, "utime", refuse)
    monkeypatch.setattr("nbad.codegen.disk._created", refuse)
    assert disk.load("key") == b"value"
    assert not disk.store("other", b"value")
    assert disk.info().problem == f"{folder} is read-only"
    assert str(disk.info()).endswith("is read-only")


@pytest.mark.parametrize("where", ["nbad.codegen.disk._created", "pathlib.Path.mkdir"])
def test_a_disk_that_is_full_from_the_start(folder, monkeypatch, where):
    def refuse(*args, **options):
        raise OSError(28, "No space left on device")

    if where == "nbad.codegen.disk._created":
        folder.mkdir(mode=0o700, parents=True)
    monkeypatch.setattr(where, refuse)
    assert not disk.store("key", b"value")
    assert disk.load("key") is None
    assert not everything(folder)


def test_a_disk_that_fills_while_a_file_is_written(folder, file):
    """The limit on the size of a file breaks off a write in its middle, as a full disk does."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, old[1]))
    try:
        assert not disk.store("other", b"x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert everything(folder) == [file]
    assert disk.load("other") is None


def test_a_full_disk_leaves_nothing_behind(folder, file, monkeypatch):
    def refuse(*paths):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    assert not disk.store("other", b"value")
    assert everything(folder) == [file]


def test_without_a_home(monkeypatch):
    monkeypatch.delenv("NBAD_CACHE_DIR", raising=False)
    monkeypatch.setattr(disk, "_home", lambda: None)
    assert not disk.store("key", b"value")
    assert disk.load("key") is None
    assert str(disk.info()) == "no disk cache: there is no home folder"


def test_a_user_without_a_home(monkeypatch):
    """Where neither HOME nor the list of users tells one, the path stays relative."""
    monkeypatch.delenv("NBAD_CACHE_DIR", raising=False)
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda *args, **options: "~/.cache/nbad")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert disk.cache_folder() is None
    assert not disk.store("key", b"value")


def test_a_relative_folder_is_no_home(monkeypatch):
    monkeypatch.setenv("NBAD_CACHE_DIR", "somewhere")
    assert disk.cache_folder() is None
    assert str(disk.info()) == "no disk cache: NBAD_CACHE_DIR is no absolute path: 'somewhere'"


def test_the_users_cache_folder_by_default(monkeypatch, tmp_path):
    monkeypatch.delenv("NBAD_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert disk.cache_folder().parent.name == "nbad"
    assert disk.cache_folder() == disk.info().folder
    monkeypatch.setenv("NBAD_CACHE_DIR", "~/elsewhere")
    assert os.path.isabs(disk._home())


def test_no_bytes_turn_it_off(folder, monkeypatch):
    monkeypatch.setenv("NBAD_CACHE_BYTES", "0")
    assert not disk.store("key", b"value")
    assert disk.info().problem == "NBAD_CACHE_BYTES is 0"
    assert not folder.exists()


@pytest.mark.parametrize(
    ("text", "is_on"), [("", False), ("0", False), ("False", False), ("off", False), ("1", True), ("yes", True)]
)
def test_switches_in_the_environment(monkeypatch, text, is_on):
    monkeypatch.setenv("NBAD_FRAMES", text)
    assert config.shows_frames() == is_on


@pytest.mark.parametrize(("name", "read"), [("NBAD_CACHE_BYTES", config.cache_bytes), ("NBAD_POOL_BYTES", config.pool_bytes)])
def test_numbers_in_the_environment(monkeypatch, name, read):
    monkeypatch.delenv(name, raising=False)
    assert read() > 1 << 20
    monkeypatch.setenv(name, "1000")
    assert read() == 1000
    monkeypatch.setenv(name, "1GB")
    with pytest.raises(ArgumentValueError, match=rf"environment variable {name} is not a number of bytes\n  got: '1GB'"):
        read()


def test_the_least_recently_used_go_first(folder, monkeypatch):
    monkeypatch.setenv("NBAD_CACHE_BYTES", str(10 * BLOCK))
    for k in range(8):
        disk.store(f"key {k}", b"x" * 1000)
        os.utime(path_of(folder, f"key {k}"), (k, k))
    assert disk.load("key 0") is not None
    disk.store("large", b"x" * 4 * BLOCK)
    assert [k for k in range(8) if disk.load(f"key {k}") is not None] == [0, 4, 5, 6, 7]
    assert disk.load("large") is not None
    assert disk.info().nbytes <= 10 * BLOCK


@pytest.mark.parametrize("count", [100, pytest.param(600, marks=pytest.mark.slow)])
def test_small_files_are_bounded_too(folder, monkeypatch, count):
    monkeypatch.setenv("NBAD_CACHE_BYTES", str(5 * BLOCK))
    for k in range(count):
        disk.store(f"key {k}", b"x" * 100)
    assert disk.info().nbytes <= 10 * BLOCK


@pytest.mark.parametrize("seconds", [0, 1 << 33])
def test_the_size_is_bounded_whatever_the_clock_says(folder, monkeypatch, seconds):
    monkeypatch.setenv("NBAD_CACHE_BYTES", str(10 * BLOCK))
    for k in range(30):
        disk.store(f"key {k}", b"x" * 1000)
        for path in everything(folder):
            os.utime(path, (seconds, seconds))
    assert disk.info().nbytes <= 10 * BLOCK
    assert disk.load("key 29") is not None


def test_a_write_looks_through_one_part_of_a_large_cache(folder, monkeypatch):
    """Many small files, as plans are: each part is bounded, and with them the whole."""
    seen, look_through = [], disk._files
    monkeypatch.setattr(disk, "PART", 20 * BLOCK)
    monkeypatch.setenv("NBAD_CACHE_BYTES", str(320 * BLOCK))
    monkeypatch.setattr(disk, "_files", lambda folder, inner: seen.append(inner) or look_through(folder, inner))
    for k in range(1000):
        disk.store(f"key {k}", b"x" * 100)
    assert {len(inner) for inner in seen} == {32}, "with 20 to 40 blocks"
    assert 200 * BLOCK < disk.info().nbytes <= 320 * BLOCK
    assert all(disk.load(f"key {k}") is not None for k in range(990, 1000))


def test_what_is_counted_are_blocks(folder):
    for k in range(3):
        disk.store(f"key {k}", b"x" * (BLOCK + 1))
    assert disk.info().nbytes == 6 * BLOCK == 512 * sum(path.stat().st_blocks for path in everything(folder))


@pytest.mark.parametrize("hours", [-2, 2])
def test_what_dead_writers_left_is_removed_whatever_the_clock_says(folder, file, hours):
    leftover, fresh = (file.with_name(f"{file.name}.{kind}.tmp") for kind in ("dead", "writing"))
    for path, age in ((leftover, 3600 * hours), (fresh, 0)):
        path.write_bytes(file.read_bytes()[:-1])
        os.utime(path, (0, time.time() - age))
    assert disk.clear() == 2
    assert everything(folder) == [fresh]


def test_info_and_clear(folder, file):
    (folder / "notes.txt").write_text("not ours")
    disk.store("second", b"x" * 2**20)
    report = disk.info()
    assert (report.folder, report.files, report.problem) == (folder, 2, None)
    assert str(report) == f"{folder}: 2 files, 1.0 of at most 512 MiB"
    assert disk.clear() == 2
    assert [path.name for path in everything(folder)] == ["notes.txt"]
    assert disk.info().files == 0


def test_only_files_of_our_own_are_removed(folder, file, monkeypatch):
    """Neither files beside the cache nor, in its folder, those with another name or without our header, however old they are."""
    ours = file.read_bytes()
    foreign = {
        folder.parent / "draft.tmp": b"draft",
        folder.parent / "thesis.nbad": b"thesis",
        folder.parent / file.name: b"ours by name",
        folder / "draft.tmp": ours,
        folder / "thesis.nbad": ours,
        path_of(folder, "other"): b"ours by name",
        folder / file.name: ours,
        folder / "xx" / file.name: ours,
        file.with_name(f"{file.name}.writing.tmp"): b"ours by name",
    }
    (folder / "xx").mkdir()
    for path, data in foreign.items():
        path.write_bytes(data)
        os.utime(path, (0, 0))
    link = path_of(folder, "link")
    link.symlink_to(file)
    monkeypatch.setenv("NBAD_CACHE_BYTES", "1")
    assert disk.store("second", b"x" * 100)
    assert not file.exists(), "trimmed"
    monkeypatch.delenv("NBAD_CACHE_BYTES")
    assert disk.store("key", b"value")
    assert disk.clear() == 1
    assert {path: path.read_bytes() for path in foreign} == foreign
    assert link.is_symlink()


def test_a_writer_that_died_at_once_leaves_nothing_for_ever(folder, file):
    leftover = file.with_name(f"{file.name}.dead.tmp")
    leftover.touch()
    os.utime(leftover, (0, 0))
    assert disk.clear() == 2


def test_two_processes_at_once(folder, run_python):
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(run_python, [TWO_WRITERS] * 2)) == ["True\n"] * 2
    assert disk.info().files == 1


def test_a_killed_writer_leaves_nothing_that_is_read(folder, run_python):
    run_python(KILLED_WRITER)
    (leftover,) = everything(folder)
    assert disk.load("key") is None
    assert disk.info().files == 0
    os.utime(leftover, (0, time.time() - 2 * disk.LEFTOVER))
    assert disk.clear() == 1


# kernels in fresh processes


def digits(run_python, **variables):
    return run_python(SWEEPS.format(kernels=str(Path(__file__).parents[2] / "kernels")), **variables)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A folder that two processes filled at once, and what they printed."""
    folder = tmp_path_factory.mktemp("first") / "cache"
    return SimpleNamespace(folder=folder, printed=[])


@pytest.fixture
def warm(first, folder, run_python):
    """A copy of that folder."""
    if not first.printed:
        with ThreadPoolExecutor(2) as pool:
            first.printed += pool.map(lambda _: digits(run_python, NBAD_CACHE_DIR=str(first.folder)), range(2))
    shutil.copytree(first.folder, folder.parent)
    folder.parent.chmod(0o700)
    return SimpleNamespace(folder=folder, printed=first.printed[0], files=everything(folder))


def test_two_processes_meet_a_kernel_at_once(warm, first, run_python):
    assert first.printed[0] == first.printed[1]
    assert len(warm.files) >= 8
    assert not [path for path in warm.files if path.suffix == ".tmp"]
    assert digits(run_python) == warm.printed
    assert everything(warm.folder) == warm.files, "all came from the disk"


@pytest.mark.slow
def test_damaged_and_foreign_code_is_not_run(warm, run_python):
    damages = (
        lambda path: os.truncate(path, path.stat().st_size // 2),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-9] + b"\x90" * 9),
        lambda path: path.chmod(0o666),
        lambda path: shutil.copyfile(warm.files[0], path),
    )
    for k, path in enumerate(warm.files[1:]):
        damages[k % len(damages)](path)
    os.truncate(warm.files[0], 100)
    assert digits(run_python) == warm.printed


@pytest.mark.slow
@pytest.mark.parametrize(
    "variables",
    [
        pytest.param({"NBAD_CACHE_DIR": "", "XDG_CACHE_HOME": "", "HOME": "/proc/nowhere"}, id="no home"),
        pytest.param({"NBAD_CACHE_BYTES": "0"}, id="off"),
    ],
)
def test_without_a_cache_results_are_the_same(warm, run_python, variables):
    assert digits(run_python, **variables) == warm.printed


@pytest.mark.slow
def test_on_a_full_disk_results_are_the_same(folder, warm, run_python):
    shutil.rmtree(folder)
    code = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))" + SWEEPS
    printed = run_python(code.format(kernels=str(Path(__file__).parents[2] / "kernels")), PYTHONDONTWRITEBYTECODE="1")
    assert printed == warm.printed
    assert max(path.stat().st_size for path in everything(folder)) <= 4096
    assert not list(folder.rglob("*.tmp"))


def test_what_a_kernel_uses_is_never_stale(folder, tmp_path, run_python):
    """Edits that leave size and time of the source file as they were change every derivative; undone, all come from the disk."""
    source, printed, files = tmp_path / "edited.py", [], []
    for numbers in (BEFORE, AFTER, BEFORE):
        source.write_text(EDITED.format(**numbers))
        os.utime(source, (10**9, 10**9))
        printed.append(run_python("import edited", PYTHONDONTWRITEBYTECODE="1"))
        files.append(len(everything(folder)))
    for numbers, text in zip((BEFORE, AFTER), printed, strict=False):
        derivatives, static = text.splitlines()
        np.testing.assert_allclose(eval(derivatives), expected_derivatives(**numbers), rtol=1e-14)
        assert float(static) == pytest.approx(numbers["power"] * 0.5 ** (numbers["power"] - 1), rel=1e-14)
    assert printed[2] == printed[0]
    assert files[0] < files[1] == files[2]


def expected_derivatives(scale, rate, power, offset, default):
    """Derivatives at 0.5, by hand."""
    x = 0.5
    return [2 * scale * x, rate * math.exp(rate * x), (power + 1) * x**power, offset * math.cos(offset * x), 2 * default * x]
