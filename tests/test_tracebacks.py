"""Refused mistakes are shown by the user's own lines; faults stay whole."""

import sys
import traceback

import pytest

import edgewise as ew
from edgewise.tracebacks import short_tracebacks


def mistake():
    return ew.KAN([2])


def fault():
    return ew.BSpline(5, 3).evaluate(None, None)


@pytest.fixture
def shown(monkeypatch):
    """What the hook of Python is given, as text."""
    texts = []
    monkeypatch.setattr(sys, "excepthook", lambda *what: texts.append("".join(traceback.format_exception(*what))))
    short_tracebacks()
    short_tracebacks()  # twice is once

    def of(call):
        try:
            call()
        except Exception as error:
            sys.excepthook(type(error), error, error.__traceback__)
        return texts.pop()

    return of


def test_a_script_shows_its_own_line_and_the_message(shown):
    text = shown(mistake)
    assert "return ew.KAN([2])" in text
    assert text.splitlines()[-1].startswith("ValueError: ")
    assert "src/edgewise" not in text


def test_a_fault_and_the_mistakes_of_others_stay_whole(shown):
    assert "src/edgewise" in shown(fault) or "jaxtyping" in shown(fault)
    assert "int('x')" in shown(lambda: int("x"))


def test_a_notebook_does_too(capsys):
    shells = pytest.importorskip("IPython.core.interactiveshell")
    shell = shells.InteractiveShell.instance(colors="nocolor")
    try:
        shell.run_cell("import edgewise as ew\nfrom edgewise.tracebacks import short_tracebacks\nshort_tracebacks()")
        capsys.readouterr()
        shell.run_cell("ew.KAN([2])")
        text = "".join(capsys.readouterr())
    finally:
        shells.InteractiveShell.clear_instance()
    assert "ew.KAN([2])" in text
    assert "ValueError" in text
    assert "src/edgewise" not in text
