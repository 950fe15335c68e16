"""Conformance suites: the laws that a plug-in must keep. Authors run them in their own tests.

    def test_my_basis() -> None:
        check_basis(MyBasis(intervals=7))

    def test_my_backend() -> None:
        check_backend("mine", device="cuda")

Each check raises `AssertionError` with the plug-in, the law that it breaks and where it does.
"""

from edgewise.testing.backend_laws import check_backend as check_backend
from edgewise.testing.basis_laws import check_basis as check_basis

__all__ = ["check_backend", "check_basis"]
