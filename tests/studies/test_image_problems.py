"""Loaders read the published formats, and refuse files that are not what their digest says."""

import gzip
import hashlib
import io
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from studies.problems import download, images


def digest(raw: bytes, algorithm: str = "sha256") -> str:
    return hashlib.new(algorithm, raw).hexdigest()


def test_fashion_mnist(tmp_path: Path, monkeypatch) -> None:
    contents = {}
    for name, count in (("train", 5), ("t10k", 3)):
        pixels = np.random.default_rng(count).integers(0, 256, (count, 28, 28), dtype=np.uint8)
        contents[f"{name}-images-idx3-ubyte.gz"] = (
            bytes([0, 0, 8, 3]) + struct.pack(">3I", *pixels.shape) + pixels.tobytes()
        )
        contents[f"{name}-labels-idx1-ubyte.gz"] = bytes([0, 0, 8, 1]) + struct.pack(">I", count) + bytes(range(count))
    monkeypatch.setattr(images, "FASHION", {name: ("md5:none", digest(raw)) for name, raw in contents.items()})
    for name, raw in contents.items():
        (tmp_path / name).write_bytes(gzip.compress(raw))
    data = images.load_fashion_mnist(tmp_path)
    assert data.train.shape == (5, 1, 28, 28)
    assert data.test_labels.tolist() == [0, 1, 2]
    assert bytes(data.test[0, 0, 0]) == contents["t10k-images-idx3-ubyte.gz"][16:44]
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(b"0000"))
    with pytest.raises(ValueError, match="is no file of FashionMNIST"):
        images.load_fashion_mnist(tmp_path)
    with pytest.raises(FileNotFoundError, match="or pass download=True"):
        images.load_fashion_mnist(tmp_path / "nowhere")


def test_cifar10(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / images.CIFAR
    pixels = np.arange(3 * 32 * 32, dtype=np.int64) % 251
    with tarfile.open(path, "w:gz") as tar:
        for n, name in enumerate([*(f"data_batch_{k}.bin" for k in range(1, 6)), "test_batch.bin"]):
            _add(tar, name, bytes([n]) + pixels.astype(np.uint8).tobytes())
        _add(tar, "batches.meta.txt", b"airplane\nautomobile\n")
    with pytest.raises(ValueError, match="remove it to fetch it again"):
        images.load_cifar10(path)
    monkeypatch.setattr(images, "CIFAR_DIGEST", f"sha256:{digest(path.read_bytes())}")
    data = images.load_cifar10(path)
    assert data.train_labels.tolist() == [0, 1, 2, 3, 4]
    assert data.test_labels.tolist() == [5]
    assert data.classes == ("airplane", "automobile")
    assert data.test[0, 1, 0, 0] == (32 * 32) % 251  # colours one after the other


def test_a_subset_keeps_a_third_of_every_class(tmp_path: Path) -> None:
    pixels = np.zeros((12, 32, 32, 3), np.uint8)
    pixels[..., 2] = 7
    np.savez(tmp_path / "part.npz", images=pixels, labels=np.arange(12) % 2, classes=np.array(["a", "b"]))
    data = images.load_cifar10(tmp_path / "part.npz")
    assert data.train_labels.bincount().tolist() == [4, 4]
    assert data.test_labels.bincount().tolist() == [2, 2]
    assert data.test[0, :, 0, 0].tolist() == [0, 0, 7]


def test_digits_of_mnist_from_a_folder(tmp_path: Path) -> None:
    rows = np.zeros((3, 785), int)
    rows[1, 28], rows[2, 0], rows[:, -1] = 255, 9, [0, 4, 9]
    path = tmp_path / images.DIGITS
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress("\n".join(",".join(map(str, row)) for row in rows).encode()))
    pixels, labels = images.load_mnist_5000(tmp_path)
    assert pixels.shape == (3, 28, 28)
    assert pixels.nonzero().tolist() == [[1, 1, 0], [2, 0, 0]]
    assert labels.tolist() == [0, 4, 9]


def test_mni152_from_a_folder(tmp_path: Path) -> None:
    signal = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    grey, white = np.zeros((2, 3, 4), np.uint8), np.zeros((2, 3, 4), np.uint8)
    grey[0, 1, 2], white[1, 2, 3] = 200, 150
    for part, volume, kind, slope in (("t1", signal, 4, 0.0), ("gm", grey, 2, 1 / 255), ("wm", white, 2, 1 / 255)):
        path = tmp_path / images.MNI.format(part)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(nifti(volume, kind, slope)))
    head = images.load_mni152(tmp_path)
    torch.testing.assert_close(head.signal, torch.from_numpy(signal).float() / 23)
    assert head.labels.nonzero().tolist() == [[0, 1, 2], [1, 2, 3]]
    assert head.labels[1, 2, 3] == 2


def nifti(volume: np.ndarray, kind: int, slope: float) -> bytes:
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, *volume.shape, 1, 1, 1, 1)
    struct.pack_into("<h", header, 70, kind)
    struct.pack_into("<3f", header, 108, 352, slope, 0)
    return bytes(header) + volume.tobytes(order="F")


def test_a_download_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "kept" / "target"
    source.write_bytes(b"numbers")
    with pytest.raises(ValueError, match="expected wrong"):
        download.fetch(source.as_uri(), target, "sha256:wrong")
    assert list(target.parent.iterdir()) == []
    with pytest.raises(OSError, match="put the file at"):
        download.fetch((tmp_path / "absent").as_uri(), target, "sha256:wrong")
    kept = download.fetch(source.as_uri(), target, f"md5:{digest(b'numbers', 'md5')}")
    source.unlink()
    assert download.fetch(source.as_uri(), target, f"sha256:{digest(b'numbers')}") == kept
    assert kept.read_bytes() == b"numbers"


def test_the_folder_for_data(monkeypatch) -> None:
    monkeypatch.delenv("EDGEWISE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert download.data_folder() == Path("/somewhere/edgewise/data")
    monkeypatch.setenv("EDGEWISE_DATA", "/elsewhere")
    assert download.data_folder() == Path("/elsewhere")
    assert download.data_folder("here") == Path("here")


def _add(tar: tarfile.TarFile, name: str, raw: bytes) -> None:
    info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
    info.size = len(raw)
    tar.addfile(info, io.BytesIO(raw))
