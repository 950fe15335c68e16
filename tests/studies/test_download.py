"""Files that are not shipped arrive whole or not at all, and are read as their publishers mean them."""

import hashlib

import numpy as np
import pytest
import torch

from studies.problems import data_folder, fetch, load_characters, load_etth1

TEXT = b"to be, or not to be"
DIGEST = f"sha256:{hashlib.sha256(TEXT).hexdigest()}"


@pytest.fixture
def url(tmp_path):
    source = tmp_path / "source.txt"
    source.write_bytes(TEXT)
    return source.as_uri()


def test_a_file_is_downloaded_once(url, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEWISE_DATA", str(tmp_path / "data"))
    path = data_folder() / "be.txt"
    assert fetch(url, path, DIGEST) == path == tmp_path / "data" / "be.txt"
    assert path.read_bytes() == TEXT
    assert fetch("file:///nowhere", path, DIGEST) == path
    assert [p.name for p in path.parent.iterdir()] == ["be.txt"]


def test_a_wrong_file_is_refused_and_not_kept(url, tmp_path):
    path = tmp_path / "data" / "be.txt"
    with pytest.raises(ValueError, match=f"digest is {DIGEST[7:]}, expected 00: file:.*not kept"):
        fetch(url, path, "sha256:00")
    assert not list(path.parent.iterdir())
    path.write_bytes(b"else")
    with pytest.raises(ValueError, match=r"be\.txt \(remove it to fetch it again\)"):
        fetch(url, path, DIGEST)


def test_without_a_connection_the_error_says_where_to_put_the_file(tmp_path):
    with pytest.raises(OSError, match=r"could not be downloaded .*; put the file at .*be\.txt"):
        fetch((tmp_path / "absent").as_uri(), tmp_path / "be.txt", DIGEST)
    assert not list(tmp_path.iterdir())


def test_characters_go_to_indices_and_back(tmp_path):
    (tmp_path / "be.txt").write_bytes(TEXT)
    text = load_characters(tmp_path / "be.txt", train=0.5)
    assert text.decode(torch.cat([text.train, text.validation])) == TEXT.decode()
    assert text.decode(text.encode("not")) == "not"
    assert list(text.symbols) == sorted(set(TEXT.decode()))
    assert len(text.train) == 9
    with pytest.raises(ValueError, match="'z' is not among"):
        text.encode("zoo")


def test_a_series_is_cut_without_a_look_ahead(tmp_path):
    rows, rng = 17420, np.random.default_rng(0)
    raw = rng.normal(3, 2, (rows, 2)).cumsum(0)
    lines = [f"2016-07-01 00:00:00,{a!r},{b!r}" for a, b in raw.tolist()]
    (tmp_path / "series.csv").write_text("\n".join(["date,a,b", *lines]) + "\n")
    series = load_etth1(tmp_path / "series.csv")
    assert series.names == ("a", "b")
    expected = (raw - raw[:8640].mean(0)) / raw[:8640].std(0)
    np.testing.assert_allclose(series.values, expected, rtol=1e-5, atol=1e-5)
    for part, begin, count in (("train", 0, 8449), ("validation", 8640 - 96, 2785), ("test", 11520 - 96, 2785)):
        x, y = series.windows(part, 96, 96)
        assert x.shape == y.shape == (count, 96, 2)
        assert torch.equal(x[5], series.values[begin + 5 : begin + 101])
        assert torch.equal(y[5], series.values[begin + 101 : begin + 197])
    with pytest.raises(ValueError, match="fewer than length"):
        series.windows("test", 96, 5000)
