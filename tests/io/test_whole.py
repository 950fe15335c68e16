"""A file is replaced whole or not at all."""

import os

import pytest

from edgewise.io.whole import alone, write_whole, written_aside


def test_content_replaces_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    for content in ("one\n", b"\x00two", ""):
        assert write_whole(path, content) == path
        assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_failure_keeps_the_old_file_and_leaves_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_the_permissions_are_those_of_a_plain_write(tmp_path):
    plain, whole = tmp_path / "plain", tmp_path / "whole"
    plain.write_text("x")
    write_whole(whole, "x")
    assert whole.stat().st_mode == plain.stat().st_mode
    whole.chmod(0o600)
    write_whole(whole, "y")
    assert whole.stat().st_mode & 0o777 == 0o600


def test_what_a_killed_process_left_is_removed_and_what_another_one_writes_is_not(tmp_path):
    left, busy, other = (
        tmp_path / f".{name}.{n * 32}.part" for name, n in (("a.txt", "0"), ("a.txt", "1"), ("b", "2"))
    )
    for path in (left, busy, other):
        path.write_text("half")
    with busy.open("rb") as file:
        assert alone(file)
        write_whole(tmp_path / "a.txt", "new")
    assert {p.name for p in tmp_path.iterdir()} == {"a.txt", busy.name, other.name}


def test_a_killed_writer_of_several_files_leaves_no_folder_for_the_next(tmp_path):
    left, busy = (tmp_path / f".a.txt.{n * 32}.folder" for n in "01")
    for folder in (left, busy):
        folder.mkdir()
        (folder / "lock").touch()
    with (busy / "lock").open("rb") as file:
        assert alone(file)
        with written_aside(tmp_path / "a.txt") as path:
            path.write_text("new")
            path.with_name("b.txt").write_text("more")
            assert not (tmp_path / "b.txt").exists()
    assert {p.name for p in tmp_path.iterdir()} == {"a.txt", "b.txt", busy.name}


def test_links_and_devices_stay_what_they_are(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    write_whole(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"
    os.mkfifo(tmp_path / "pipe")
    end = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_whole(tmp_path / "pipe", "through")
    assert os.read(end, 100) == b"through"
    os.close(end)
    assert (tmp_path / "pipe").is_fifo()
