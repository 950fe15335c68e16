"""Warnings that name the line of the user's code, however deep in the package they arise."""

from __future__ import annotations

import sys
import warnings

OWN = ("edgewise", "sklearn")


def warn_user(text: str) -> None:
    """A `UserWarning` at the nearest caller outside this package and scikit-learn."""
    frame, level = sys._getframe(1), 3
    while (frame := frame.f_back) is not None and frame.f_globals.get("__name__", "").partition(".")[0] in OWN:
        level += 1
    warnings.warn(text, UserWarning, stacklevel=level)
