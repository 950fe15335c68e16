"""A library is loaded where no other user can have put it, and a file that is no library of ours falls back."""

import os
import sys
import time

import pytest

from edgewise.kernels.cpu import load
from edgewise.kernels.cpu.build import by_flags, processor_flags
from edgewise.progress import Budget

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="owners and modes are those of POSIX")


@pytest.fixture
def places(tmp_path, monkeypatch):
    """A chosen and a default cache folder, no prebuilt library, and a compiler that writes a byte."""
    monkeypatch.setenv("EDGEWISE_CACHE", str(tmp_path / "chosen"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(load, "PREBUILT", tmp_path / "none")
    monkeypatch.setattr(load, "build", lambda _, target: target.write_bytes(b"built"))
    return load.cache_folders()


def test_a_library_is_built_once_into_a_folder_of_ones_own(places, monkeypatch):
    before = os.umask(0o002)
    try:
        path = load.find_or_build("portable")
    finally:
        os.umask(before)
    assert path.parent == places[0]
    assert not path.parent.stat().st_mode & 0o077
    monkeypatch.setattr(load, "build", None)
    assert load.find_or_build("portable") == path


def test_what_is_compiled_beside_an_installation_is_what_torch_asks_for():
    flags = processor_flags()
    if flags is None or os.environ.get("EDGEWISE_CPU_VARIANT"):
        pytest.skip("nothing tells the processor, or it is not asked")
    assert by_flags(flags) == load.variant()


def test_flags_name_the_widest_variant():
    plain = {"sse4_2", "avx", "avx2", "fma", "bmi2"}
    wide = plain | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}
    found = [by_flags(flags) for flags in (set(), plain - {"fma"}, plain, wide - {"avx512vl"}, wide)]
    assert found == ["portable", "portable", "x86-64-v3", "x86-64-v3", "x86-64-v4"]


def test_building_is_on_nobodys_time(places, monkeypatch):
    # The first `edgewise fit` on a machine spent its whole training on the compiler, and gave what one step gives.
    monkeypatch.setattr(load, "build", lambda _, target: (time.sleep(0.3), target.write_bytes(b"built")))
    budget, search = Budget(0.2), Budget.of_search(0.2, time.thread_time)
    load.find_or_build("portable")
    assert not budget.over
    assert not search.over
    assert not search.late


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o1777])
def test_a_folder_that_others_may_write_to_is_left_alone(places, mode):
    name = load.find_or_build("portable").name
    (places[0] / name).write_bytes(b"planted")
    places[0].chmod(mode)
    assert load.find_or_build("portable") == places[1] / name
    places[1].chmod(mode)
    with pytest.raises(RuntimeError, match=r"others may write to .*chosen.*EDGEWISE_CACHE"):
        load.find_or_build("portable")


def test_a_folder_that_cannot_be_made_is_no_obstacle(places, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("EDGEWISE_CACHE", str(tmp_path / "file" / "folder"))
    assert load.find_or_build("portable").parent == places[1]


@pytest.mark.parametrize("change", ["mode", "link", "owner"])
def test_a_planted_library_is_built_anew(places, change, tmp_path, monkeypatch):
    path = load.find_or_build("portable")
    path.write_bytes(b"planted")
    if change == "mode":
        path.chmod(0o666)
    elif change == "link":
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
    elif os.getuid() == 0:
        os.chown(path, 12345, -1)
    else:
        me = os.getuid()
        monkeypatch.setattr(os, "getuid", lambda: me + (sys._getframe(1).f_locals["path"] == path))
    monkeypatch.setattr(load, "build", lambda _, target: (target.unlink(), target.write_bytes(b"built")))
    assert load.find_or_build("portable").read_bytes() == b"built"


@pytest.fixture
def anew():
    load._loaded.cache_clear()
    yield
    load._loaded.cache_clear()


def falls_back(caplog):
    assert load.library() is None
    assert load.library() is None
    assert len(caplog.records) == 1
    return str(load.why_not())


@pytest.mark.parametrize("content", [b"", b"no library"])
def test_a_file_that_is_no_library_falls_back_with_one_warning(places, anew, content, caplog, monkeypatch):
    monkeypatch.setenv("EDGEWISE_CPU_VARIANT", "portable")
    path = load.find_or_build("portable")
    path.write_bytes(content)
    caplog.clear()  # what building said
    assert str(path) in falls_back(caplog)


@pytest.mark.skipif(load.library() is None, reason=str(load.why_not()))
def test_a_library_without_a_kernel_falls_back_with_one_warning(anew, caplog, monkeypatch):
    monkeypatch.setattr(load, "NAMES", (*load.NAMES, "absent"))
    assert "lacks the function 'absent_f32'; delete it" in falls_back(caplog)
