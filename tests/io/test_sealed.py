"""One changed bit of a sealed file, or of a folder with digests, is noticed and named."""

import subprocess

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from edgewise.io import FileFormatError
from edgewise.io.reading import MAX_TEXT, read_json, reading
from edgewise.io.sealed import SUMS, check_sums, read_sealed, write_sealed, write_sums

again = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@again
@given(
    content=st.binary(max_size=60), place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), cut=st.booleans()
)
def test_a_sealed_file_comes_back_or_is_refused(tmp_path, content, place, bit, cut):
    path = tmp_path / "sealed"
    write_sealed(path, content)
    assert read_sealed(path) == content
    data = bytearray(path.read_bytes())
    n = int(place * len(data))
    data[n] ^= 1 << bit
    path.write_bytes(data[:n] if cut else data)
    with pytest.raises(FileFormatError, match="sealed is damaged"):
        read_sealed(path)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.json").write_text("1")
    (tmp_path / "b c.txt").write_bytes(b"\x00" * 99)
    write_sums(tmp_path)
    return tmp_path


def test_a_folder_is_as_it_was_written(folder):
    check_sums(folder, ["a.json"])
    done = subprocess.run(["sha256sum", "-c", SUMS], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout == "a.json: OK\nb c.txt: OK\n"
    (folder / "note").write_text("mine")
    (folder / "b c.txt").unlink()
    check_sums(folder, ["a.json"])


@pytest.mark.parametrize("name", ["a.json", "b c.txt", SUMS])
def test_every_flipped_bit_of_a_folder_is_noticed(folder, name):
    data = (folder / name).read_bytes()
    for n in range(len(data)):
        flipped = bytearray(data)
        flipped[n] ^= 1 << (n % 8)
        (folder / name).write_bytes(flipped)
        with pytest.raises(FileFormatError, match=r"SHA256SUMS.*; run again"), reading(folder, "; run again"):
            check_sums(folder, ["a.json", "b c.txt"])


@pytest.mark.parametrize("text", ["", "no sums", "0" * 64 + "  ../a.json\n", "0" * 64 + "  a.json"])
def test_other_lists_are_refused(folder, text):
    (folder / SUMS).write_text(text)
    with pytest.raises(ValueError, match="damaged"):
        check_sums(folder, ["a.json"])
    (folder / SUMS).unlink()
    with pytest.raises(ValueError, match=f"no {SUMS}"):
        check_sums(folder, ["a.json"])


ERRORS = [
    KeyError("x"),
    IndexError(),
    RecursionError("deep"),
    MemoryError(),
    UnicodeDecodeError("utf-8", b"", 0, 1, "x"),
]
ERRORS += [RuntimeError("torch"), ZeroDivisionError(), AssertionError(), ValueError("plain"), EOFError()]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_the_door_turns_every_error_into_one(error):
    with pytest.raises(FileFormatError, match=r"^model cannot be loaded: .+; do this$"), reading("model", "; do this"):
        raise error


@pytest.mark.parametrize("error", [FileNotFoundError(2, "no such file", "x"), ImportError("pip"), KeyboardInterrupt()])
def test_what_is_no_damage_passes(error):
    with pytest.raises(type(error)), reading("model"):
        raise error


@pytest.mark.parametrize(
    "text", [b"{", b"\xff", b"", b"[" * 100_000, b"1" * 5000, b'{"a":' * 3000, b" " * (MAX_TEXT + 1)]
)
def test_json_that_is_none(tmp_path, text):
    (tmp_path / "a.json").write_bytes(text)
    with pytest.raises(FileFormatError, match=r"a\.json cannot be loaded"), reading(tmp_path / "a.json"):
        read_json(tmp_path / "a.json")
