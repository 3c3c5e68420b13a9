"""Files are read in a process of its own: what it gives is the same, and what a file does there is one failed read."""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import awkward_dicom
import made
import planted
from voxtrace import errors, io
from voxtrace.errors import Cancelled, GeometryError, ReadError
from voxtrace.geometry import Grid
from voxtrace.io.child import guarded, inputs, messages, readers, values
from voxtrace.io.child.process import SWITCH, ReaderProcess
from voxtrace.io.child.readers import call, end_readers
from voxtrace.io.dicom import find_series
from voxtrace.io.export.find_source_series import grids_in
from voxtrace.volume import Geometry, LabelMap

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits memory, files and calls of a process")


@pytest.fixture(autouse=True)
def _planted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let reader processes find the functions of these tests."""
    monkeypatch.delenv(SWITCH, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(Path(planted.__file__).parent))
    end_readers()
    yield
    end_readers()


def run(name: str, *arguments: Any, paths: tuple[Path, ...] = ()) -> Any:
    return call(f"planted:{name}", arguments, paths)


def short(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    allowed_for = readers.allowed_for
    monkeypatch.setattr(readers, "allowed_for", lambda paths: replace(allowed_for(paths), seconds=seconds))


def same(one: Any, other: Any) -> bool:
    """Return whether two values are equal in every field, also those that == leaves out."""
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    if is_dataclass(one):
        return type(one) is type(other) and all(same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    if isinstance(one, (tuple, list)):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


def test_a_file_gives_the_same_volume_as_in_the_process_at_hand(tmp_path: Path) -> None:
    for ending in (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd"):
        path = made.scan(tmp_path / f"scan{ending}")
        assert same(guarded.read(path), io.read(path)), ending
        assert guarded.count_timepoints(path) == 1


def test_labels_come_with_names_and_colours(tmp_path: Path) -> None:
    labels = LabelMap(
        np.arange(24, dtype=np.uint8).reshape(2, 3, 4) % 3,
        Geometry.from_spacing((2, 3, 4), (3.0, 1.0, 1.0)),
        {1: "liver", 2: "spleen"},
        {1: (1.0, 0.0, 0.0)},
    )
    io.write(labels, tmp_path / "labels.nii.gz")
    assert same(guarded.read_labels(tmp_path / "labels.nii.gz"), io.read_labels(tmp_path / "labels.nii.gz"))
    assert guarded.label_names(tmp_path / "labels.nii.gz") == {1: "liver", 2: "spleen"}


def test_a_dicom_folder_gives_the_same_series_volume_and_picture(tmp_path: Path) -> None:
    awkward_dicom.save(tmp_path / "ct", awkward_dicom.images(awkward_dicom.place()))
    [series] = guarded.find_series(tmp_path / "ct")
    [expected] = find_series(tmp_path / "ct")
    assert same(series, expected)
    assert same(guarded.read(tmp_path / "ct"), io.read(tmp_path / "ct"))
    assert same(guarded.stack_series([series]).data, guarded.read(tmp_path / "ct").data)
    assert guarded.thumbnail(series).ndim == 2


def test_a_file_by_a_relative_path_and_with_bytes_that_are_no_utf8(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = os.fsdecode(b"caf\xe9.nii.gz") if os.name == "posix" else "café.nii.gz"
    made.scan(tmp_path / name)
    guarded.read(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert same(guarded.read(Path(name)), io.read(Path(name)))


def test_a_link_to_images_elsewhere_is_followed(tmp_path: Path) -> None:
    awkward_dicom.save(tmp_path / "archive", awkward_dicom.images(awkward_dicom.place()))
    (tmp_path / "case").mkdir()
    for file in (tmp_path / "archive").iterdir():
        (tmp_path / "case" / file.name).symlink_to(file)
    assert np.array_equal(guarded.read(tmp_path / "case").data, io.read(tmp_path / "archive").data)


def test_errors_come_back_as_the_same_class_with_the_same_message(tmp_path: Path) -> None:
    with pytest.raises(ReadError) as expected:
        io.read(tmp_path / "none.nii.gz")
    with pytest.raises(ReadError) as found:
        guarded.read(tmp_path / "none.nii.gz")
    assert str(found.value) == str(expected.value)
    with pytest.raises(GeometryError, match=r"^the grids differ\.$"):
        run("not_on_one_grid")


def test_what_no_reader_should_raise_is_a_read_error(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"a\.nii cannot be read: ZeroDivisionError: by nothing\. .*export it again"):
        run("unknown", paths=(tmp_path / "a.nii",))


@pytest.mark.parametrize(("name", "died"), [("crash", "SIGSEGV"), ("abort", "SIGABRT"), ("leave", "exit code 3")])
@pytest.mark.skipif(os.name != "posix", reason="elsewhere a process has no signal to die of")
def test_a_crash_is_one_failed_read_and_the_next_one_works(name: str, died: str, tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=rf"a\.nii cannot be read: reading it crashed \({died}\)"):
        run(name, paths=(tmp_path / "a.nii",))
    assert run("echo", 3) == 3


@linux
def test_what_the_system_stops_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="most likely because memory ran out"):
        run("die_by", 9)


@linux
def test_a_crash_leaves_the_process_that_waits(tmp_path: Path) -> None:
    before = run("process_number")
    with pytest.raises(ReadError, match="crashed"):
        run("crash")
    assert run("process_number") == before


def test_what_takes_too_long_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    run("echo", 1)
    with monkeypatch.context() as patch:
        short(patch, 1.0)
        began = time.monotonic()
        with pytest.raises(ReadError, match=r"took longer than 1 s, and was stopped.*VOXTRACE_READ_IN_PROCESS=1"):
            run("hang")
        assert time.monotonic() - began < 20
    assert run("echo", 1) == 1


@linux
def test_memory_beyond_the_limit_is_refused() -> None:
    with pytest.raises(ReadError, match=r"needs more than \d+\.\d GiB of memory.*VOXTRACE_READ_IN_PROCESS=1"):
        run("hoard")
    assert run("echo", 2) == 2


@linux
def test_only_its_own_inputs_can_be_read(tmp_path: Path) -> None:
    for name in ("one/mine", "two/theirs"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"12345")
    (tmp_path / "one" / "link").symlink_to(tmp_path / "two")
    assert run("open_file", tmp_path / "one" / "mine", paths=(tmp_path / "one",)) == 5
    for other in (tmp_path / "two" / "theirs", tmp_path / "one" / "link" / "theirs", Path("/etc/passwd")):
        with pytest.raises(ReadError, match="PermissionError"):
            run("open_file", other, paths=(tmp_path / "one",))


@linux
@pytest.mark.parametrize("name", ["write_file", "change_mode"])
def test_nothing_can_be_written_or_changed(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    with pytest.raises(ReadError, match="PermissionError"):
        run(name, tmp_path / "file", paths=(tmp_path,))
    assert (tmp_path / "file").read_bytes() == b"12345"


@linux
@pytest.mark.parametrize("name", ["run_program", "fork"])
def test_no_program_and_no_process_can_be_started(name: str) -> None:
    with pytest.raises(ReadError, match="PermissionError"):
        run(name)


@linux
def test_no_connection_can_be_opened_and_no_signal_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with pytest.raises(ReadError, match="PermissionError"):
            run("connect", server.getsockname()[1])
        with pytest.raises(ReadError, match="PermissionError"):
            run("signal_process", os.getpid())


@linux
def test_threads_of_libraries_still_start() -> None:
    assert run("count_threads") == 8
    assert run("run_event_loop") == 1


def test_temporary_files_are_removed_after_each_call() -> None:
    left = Path(run("write_temporary"))
    run("echo", 1)
    assert not left.exists()
    end_readers()
    assert not left.parent.exists()


def test_an_answer_that_belongs_to_another_call_is_nobodys() -> None:
    # a file that takes the reading process over must not answer for the file that is read next
    with pytest.raises(ReadError, match="gives no answer of its own"):
        run("answer_twice", 4)
    assert run("echo", "mine") == "mine"


def test_many_calls_need_one_process() -> None:
    run("echo", 0)
    began = time.monotonic()
    for number in range(20):
        assert run("echo", number) == number
    assert time.monotonic() - began < 20
    assert len(readers._idle) == 1


def test_calls_of_several_threads_get_their_own_answers() -> None:
    found: dict[int, int] = {}

    def ask(number: int) -> None:
        found[number] = run("echo", number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: number for number in range(4)}
    assert len(readers._idle) <= 2


def test_the_switch_reads_in_the_process_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "1")
    assert run("process_number") == os.getppid()
    assert readers.protection_here() is None
    monkeypatch.setenv(SWITCH, "0")
    assert run("process_number") != os.getppid()


def test_a_process_that_cannot_start_is_refused_with_the_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(Path("/nowhere/python")))
    with pytest.raises(ReadError, match=r"could not be started.*VOXTRACE_READ_IN_PROCESS=1"):
        run("echo", 1)


@linux
@pytest.mark.parametrize("working", [True, False])
def test_no_process_outlives_the_program_that_asked(working: bool, tmp_path: Path) -> None:
    script = "from voxtrace.io.child.readers import call\ncall('planted:echo', (1,), ())\nprint('asked', flush=True)\n"
    script += "call('planted:hang', (), ())\n" if working else "import time; time.sleep(600)\n"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([*map(str, _places()), os.environ["PYTHONPATH"]])}
    program = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=env)
    assert program.stdout is not None
    assert program.stdout.readline() == b"asked\n"
    _until(lambda: len(_below(program.pid)) == 1 + working)
    left = _below(program.pid)
    scratch = _scratch_of(left[0])
    assert scratch.is_dir()
    program.kill()
    program.wait()
    program.stdout.close()
    _until(lambda: not any(_runs(one) for one in left))
    _until(lambda: not scratch.exists())


@linux
def test_ctrl_c_ends_a_read_at_once_and_the_next_one_works() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    try:
        timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
        run("echo", 1)
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            run("hang")
        assert run("echo", 1) == 1
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_read_is_stopped_from_another_thread() -> None:
    found: list[BaseException] = []

    def read() -> None:
        try:
            run("hang")
        except Cancelled as error:
            found.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    _until(lambda: thread.ident in readers._busy)
    time.sleep(0.3)
    readers.stop_reads([thread.ident or 0, 1])
    thread.join(20)
    assert len(found) == 1
    assert run("echo", 1) == 1


@pytest.mark.parametrize("other", ["/etc/passwd", "{0}/../../etc/passwd", "{0}x/a"])
def test_an_answer_names_no_file_elsewhere(other: str, tmp_path: Path) -> None:
    # a series with such a path would be read by a later call
    assert run("echo", tmp_path / "a" / "b", paths=(tmp_path,)) == tmp_path / "a" / "b"
    with pytest.raises(ReadError, match="none of its inputs"):
        run("echo", [{"x": Path(other.format(tmp_path))}], paths=(tmp_path,))


def test_a_document_of_too_many_values_is_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "_MOST_VALUES", 100)
    came, sent = os.pipe()
    messages.send(sent, {"x": [[]] * 200})
    with pytest.raises(messages.BrokenMessageError, match="too many values"):
        messages.receive(came, 0)
    os.close(came)
    os.close(sent)


RESIDENT = """
import sys
from voxtrace.io.child import serving
from voxtrace.io.child.protection import Protection
serving.protection = Protection
serving.main()
"""


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a process has no signal to die of")
def test_without_forks_calls_run_one_after_another_in_the_process_that_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    popen = subprocess.Popen

    def resident(command: list[str], **options: Any) -> Any:
        return popen([command[0], "-P", "-c", RESIDENT, command[-1]], **options)

    monkeypatch.setattr(subprocess, "Popen", resident)
    scan = made.scan(tmp_path / "scan.nii.gz")
    assert same(guarded.read(scan), io.read(scan))
    assert run("process_number") == os.getpid()
    left = Path(run("write_temporary"))
    run("echo", 1)
    assert not left.exists()
    with pytest.raises(ReadError, match=r"crashed \(SIGSEGV\)"):
        run("crash")
    with monkeypatch.context() as patch:
        short(patch, 1.0)
        with pytest.raises(ReadError, match="took longer than 1 s"):
            run("hang")
    assert run("echo", 2) == 2
    held = readers.protection_here()
    assert held is not None
    assert "not limited on this system: memory, access to files, network" in held.sentence


def test_a_fork_of_the_program_leaves_the_process_to_it() -> None:
    if not hasattr(os, "fork"):
        pytest.skip("this system has no fork")
    run("echo", 1)
    before = run("process_number") if sys.platform == "linux" else 0
    script = (
        "import os\nfrom voxtrace.io.child.readers import _idle, call\ncall('planted:echo', (1,), ())\n"
        "fork = os.fork()\nif not fork:\n    assert not _idle\n    os._exit(0)\n"
        "assert os.waitpid(fork, 0)[1] == 0\nassert call('planted:echo', (2,), ()) == 2\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([*map(str, _places()), os.environ["PYTHONPATH"]])}
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=True, env=env)
    assert before == (run("process_number") if sys.platform == "linux" else 0)


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a process has no signal to die of")
def test_an_export_looks_for_its_source_series_in_a_reader_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = awkward_dicom.save(tmp_path / "ct", awkward_dicom.images(awkward_dicom.place()))
    [grid] = grids_in(folder)
    assert grid.size == io.read(folder).geometry.grid.size
    monkeypatch.setitem(guarded.FUNCTIONS, "find_series", "planted:crash")
    with pytest.raises(ReadError, match="crashed"):
        list(grids_in(folder))


def test_every_grid_crosses() -> None:
    package = importlib.import_module("voxtrace.io")
    for module in pkgutil.walk_packages(package.__path__, "voxtrace.io."):
        importlib.import_module(module.name)

    def below(kind: type) -> list[type]:
        return [kind, *(one for sub in kind.__subclasses__() for one in below(sub))]

    assert {kind.__name__ for kind in below(Grid)} <= values._HOMES.keys()


def test_values_cross_and_others_are_refused() -> None:
    arrays: list[Any] = []
    value = ({1: "a", "b": (None, True, 2.5)}, [np.float32(0.5), Path("x")], np.arange(3))
    back = values.decoded(values.encoded(value, arrays), arrays)
    assert same(back[:1], ({1: "a", "b": (None, True, 2.5)},))
    assert back[1] == [0.5, Path("x")]
    assert np.array_equal(back[2], [0, 1, 2])
    with pytest.raises(TypeError, match="set does not cross"):
        values.encoded({1, 2}, [])


@pytest.mark.parametrize(
    "document",
    [
        {"a": 1},
        ["Path", {}],
        ["array", 1],
        ["array", -1],
        ["Volume", {"data": 1}],
        ["Grid", {"code": 1}],
        ["tuple", {}],
    ],
)
def test_what_is_no_value_raises_and_makes_nothing_else(document: Any) -> None:
    with pytest.raises((TypeError, KeyError, IndexError, AttributeError, ValueError)):
        values.decoded(document, [np.zeros(1)])


@pytest.mark.parametrize(
    "described",
    [
        {"dtype": "O", "shape": [1]},
        {"dtype": "V8", "shape": [1]},
        {"dtype": "<i2", "shape": [-1]},
        {"dtype": "<i2", "shape": [True]},
        {"dtype": "<i2", "shape": [1 << 40]},
        {"dtype": "<i2,<i4", "shape": [1]},
    ],
)
def test_arrays_of_other_kinds_or_beyond_the_limit_are_no_message(described: dict[str, Any]) -> None:
    document = {"arrays": [described]}
    with pytest.raises((ValueError, TypeError)):
        messages._described(document, 1 << 20)


def test_arrays_that_are_not_contiguous_cross_whole() -> None:
    given = np.arange(2 * 3 * 4 * 5, dtype=">i2").reshape(2, 3, 4, 5)[:, ::-1, :, ::2].swapaxes(1, 2)
    came, sent = os.pipe()
    messages.send(sent, {"x": 1}, [given, np.zeros((0, 3)), np.float64(2.5).reshape(())])
    document, [back, empty, single] = messages.receive(came, 1 << 20)
    os.close(sent)
    with pytest.raises(EOFError):
        messages.receive(came, 0)
    os.close(came)
    assert document["x"] == 1
    assert same(back, np.ascontiguousarray(given))
    assert empty.shape == (0, 3)
    assert single == 2.5


def test_large_arrays_cross_whole_also_where_they_share_memory() -> None:
    whole, part, *twice = run("shared_memory", 10_000_000)
    expected = np.arange(10_000_000, dtype=np.int32)
    assert np.array_equal(whole, expected)
    assert np.array_equal(part, expected[1:])
    assert all(np.array_equal(one, expected) for one in twice)


def test_a_file_opens_only_what_may_belong_to_it(tmp_path: Path) -> None:
    files = {
        "a.nii.gz": (b"", ()),
        "b.mha": (b"ElementDataFile = LOCAL\n/%", ()),
        "c.nrrd": (b"NRRD0004\n\n/%", ()),
        "d.mhd": (b"ElementDataFile = voxels.raw\n", ("d.zraw", "voxels.raw")),
        "e.nhdr": (b"NRRD0004\ndata file: voxels.raw\n", ("voxels.raw",)),
        "d.zraw": (b"", None),
        "f.mhd": (b"ElementDataFile = n%03d.raw 1 2 1\n", ("n001.raw", "n002.raw")),
        "g.nhdr": (b"NRRD0004\ndata file: LIST\nvoxels.raw\n", ("voxels.raw",)),
        "h.nhdr": (b"NRRD0004\ndata file: below/voxels.raw\n", ("below/voxels.raw",)),
        "l.nrrd": (b"NRRD0004\n# see http://teem.sourceforge.net/nrrd/\nencoding: raw\n\n", ()),
        "m.mha": (b"Comment = T1/T2 100%, LIST\nElementDataFile = LOCAL\n", ()),
        "o.nhdr": (b"NRRD0004\ndata file: ../voxels.raw\n", ()),
        "n001.raw": (b"", None),
        "n002.raw": (b"", None),
        "i.hdr": (b"", ("i.img",)),
        "i.img": (b"", ("i.hdr",)),
        "j.mgz": (b"", ()),
        "k.zip": (b"", ()),
        "voxels.raw": (b"", None),
        "image": (b"", None),
    }
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "voxels.raw").write_bytes(b"")
    for name, (text, _) in files.items():
        (tmp_path / name).write_bytes(text)
    for name, (_, others) in files.items():
        expected = {tmp_path} if others is None else {tmp_path / other for other in others}
        assert set(inputs.allowed_for([tmp_path / name]).paths) == {tmp_path / name, *expected}, name


@pytest.mark.parametrize("name", ["none.mhd", "none.dcm", "none", "none.zip"])
def test_what_does_not_exist_opens_itself_alone(name: str, tmp_path: Path) -> None:
    (tmp_path / "none.raw").write_bytes(b"x")
    assert inputs.allowed_for([tmp_path / name]).paths == (tmp_path / name,)


@linux
def test_the_process_that_forks_has_one_thread(tmp_path: Path) -> None:
    guarded.read(awkward_dicom.save(tmp_path / "ct", awkward_dicom.images(awkward_dicom.place())))
    with pytest.raises(ReadError):
        guarded.read_seg(tmp_path / "none.dcm")
    guarded.read(made.scan(tmp_path / "scan.nii.gz"))
    [reader] = readers._idle
    assert len(list(Path(f"/proc/{reader._process.pid}/task").iterdir())) == 1


@linux
def test_a_reader_that_others_ended_is_replaced() -> None:
    run("echo", 1)
    [reader] = readers._idle
    os.kill(reader._process.pid, signal.SIGKILL)
    assert run("echo", 2) == 2


@pytest.mark.parametrize("name", ["a\0b.nii", "x" * 300, "x" * 300 + ".mha", "../none/a.dcm"])
def test_names_that_no_file_can_have_are_left_to_reading(name: str, tmp_path: Path) -> None:
    assert inputs.allowed_for([tmp_path / name]).memory > 0
    with pytest.raises((ReadError, ValueError)):
        guarded.read(tmp_path / name)


def test_limits_grow_with_the_files(tmp_path: Path) -> None:
    (tmp_path / "small.nii").write_bytes(b"x")
    with (tmp_path / "large.nii").open("wb") as file:
        file.truncate(1 << 30)  # no block of it is on the disk
    small, large = (inputs.allowed_for([tmp_path / name]) for name in ("small.nii", "large.nii"))
    assert large.seconds > small.seconds + 1000
    assert small.memory <= inputs.LEAST_MEMORY <= large.memory or large.memory < inputs.LEAST_MEMORY


def test_the_functions_have_the_arguments_of_the_originals() -> None:
    for name, home in guarded.FUNCTIONS.items():
        module, _, original = home.partition(":")
        expected = inspect.signature(getattr(importlib.import_module(module), original)).parameters
        found = inspect.signature(getattr(guarded, name)).parameters
        assert [(p.name, p.default) for p in found.values()] == [(p.name, p.default) for p in expected.values()], name


def test_errors_that_come_back_are_of_the_project() -> None:
    assert readers._class("ReadError") is ReadError
    assert readers._class("OutputError") is errors.OutputError
    for name in ("SystemExit", "annotations", None, 3):
        assert readers._class(name) is ReadError


def test_a_reader_says_what_holds() -> None:
    reader = ReaderProcess()
    try:
        assert reader.protection.sentence.startswith("in a process of its own with limited time")
        if sys.platform == "linux":
            assert reader.protection.memory
        if reader.protection.is_complete:
            assert "not limited" not in reader.protection.sentence
    finally:
        reader.close()
    assert not reader.is_alive


def _places() -> list[Path]:
    return [Path(errors.__file__).parents[1]]


def _until(done: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def _below(process: int) -> list[int]:
    """Return the processes that a process started, and those that they started."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    own = [child for child, parent in parents.items() if parent == process]
    return [*own, *(one for child in own for one in _below(child))]


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _scratch_of(process: int) -> Path:
    return Path(os.fsdecode(Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")[-2]))
