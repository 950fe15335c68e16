"""The committed bundle is the one of the committed sources, and small."""

import gzip
import hashlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "studio"
STATIC = ROOT / "src" / "edgewise" / "workbench" / "static"


def digest_of_sources() -> str:
    """As studio/build.mjs computes it."""
    sources = (f"src/{path.name}" for path in sorted((PAGE / "src").iterdir()))
    names = ["build.mjs", "package-lock.json", "tsconfig.json", *sources]
    digest = hashlib.sha256()
    for name in names:
        digest.update(f"{name}\n".encode() + (PAGE / name).read_bytes() + b"\n")
    return digest.hexdigest()


@pytest.mark.skipif(not PAGE.is_dir(), reason="the sources of the page are not in the package")
@pytest.mark.parametrize("name", ["studio.js", "studio.css"])
def test_the_bundle_is_built_from_these_sources(name):
    first = (STATIC / name).read_text(encoding="utf-8").splitlines()[0]
    assert first == f"/* edgewise studio, sources {digest_of_sources()} */", "run `make studio`"


def test_the_bundle_is_small_and_loads_nothing():
    texts = [path.read_bytes() for path in sorted(STATIC.iterdir())]
    assert sum(len(gzip.compress(text)) for text in texts) < 60_000
    for text in texts:
        addresses = re.findall(rb"https?://([\w.]+)", text)
        assert set(addresses) <= {b"www.w3.org"}  # the names of XML's namespaces
        assert b"@import" not in text
