"""The command line is tested as a user runs it, without the run-time checks."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def commands_as_a_user(module_as_a_user):
    """Before the runs that the tests of a module share."""
