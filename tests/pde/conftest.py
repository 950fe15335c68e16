"""What the tests of differential equations share."""

from collections.abc import Iterator

import pytest
from typecheck import unchecked


@pytest.fixture
def fast() -> Iterator[None]:
    """Solves without the run-time checks."""
    with unchecked():
        yield
