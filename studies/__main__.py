"""The command line of all studies: `python -m studies NAME [options]`, from the root of a checkout."""

from __future__ import annotations

import argparse
import logging
import math
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from studies import runner
from studies.registry import NAMES, load, load_all
from studies.result import RESULTS
from studies.study import Settings, Study

COMMON = ("seeds", "minutes", "out", "redraw", "any_commit", "tiny")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, redraw or list studies; returns the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in {"-h", "--help"}:
        print(listing())
        return 0
    name, *rest = given
    if name not in NAMES:
        near = get_close_matches(name, NAMES, 1)
        hint = f"did you mean {near[0]!r}?" if near else "`python -m studies` lists them"
        print(f"python -m studies: there is no study {name!r}; {hint}", file=sys.stderr)
        return 2
    study = load(name)
    options = vars(parser(study).parse_args(rest))
    common = {key: options.pop(key) for key in COMMON}
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("edgewise").setLevel(logging.WARNING)
    try:
        return _run(study, common, options)
    except (ImportError, OSError, ValueError) as error:
        print(f"python -m studies {name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: what was measured is kept; run again to continue", file=sys.stderr)
        return 130


def listing() -> str:
    """Every study with its title."""
    width = max(map(len, NAMES))
    lines = ["python -m studies NAME [--help | options]", ""]
    return "\n".join([*lines, *(f"  {study.name:{width}}  {study.title}" for study in load_all())])


def parser(study: Study[Any]) -> argparse.ArgumentParser:
    """The options that all studies have, and one for every field of the study's settings."""
    found = OneLineParser(prog=f"python -m studies {study.name}", description=study.title)
    count = f"how many of the seeds {', '.join(map(str, study.seeds))} and so on, or a list such as 0,3,7"
    found.add_argument("--seeds", type=seeds_of(study), default=study.seeds, metavar="N|LIST", help=count)
    found.add_argument("--minutes", type=_minutes, default=math.inf, help="time limit: no new case begins after it")
    found.add_argument("--out", type=Path, default=RESULTS, metavar="FOLDER", help="where results are and go")
    found.add_argument("--redraw", action="store_true", help="measure nothing: table and figures of the stored result")
    found.add_argument("--any-commit", action="store_true", help="take rows that other commits measured")
    found.add_argument("--tiny", action="store_true", help="settings that take seconds and say nothing")
    group = found.add_argument_group("settings of this study")
    for f in fields(study.settings):
        default = getattr(study.settings, f.name)
        _add(group, f.name, default, f.metadata["help"], default if f.metadata["subset"] else f.metadata["choices"])
    return found


def seeds_of(study: Study[Any]) -> Any:
    """The type of `--seeds`: a count takes the first seeds of the study and continues counting."""

    def seeds(text: str) -> tuple[int, ...]:
        if "," in text:
            return tuple(int(part) for part in text.split(",") if part)
        count, known = int(text), study.seeds
        if count < 0:
            raise ValueError
        return (*known[:count], *range(known[-1] + 1, known[-1] + 1 + count - len(known)))

    return seeds


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Exit with status 2."""
        self.exit(2, f"{self.prog}: {message} (--help lists the options)\n")


def _run(study: Study[Any], common: dict[str, Any], options: dict[str, Any]) -> int:
    if common["redraw"]:
        print(runner.report(runner.redraw(study, common["out"])))
        return 0
    base = study.settings
    if common["tiny"]:
        if study.tiny is None:
            raise ValueError("this study has no tiny settings")
        base = study.tiny
    settings = changed(base, options)
    keep = {key: common[key] for key in ("seeds", "minutes", "any_commit")}
    print(runner.report(runner.run(study, settings, folder=common["out"], **keep)))
    return 0


def changed(base: Settings, options: dict[str, Any]) -> Settings:
    """The settings with the options that were given."""
    return replace(base, **{key: tuple(value) if isinstance(value, list) else value for key, value in options.items()})


def _add(group: Any, name: str, default: Any, help: str, choices: Sequence[Any]) -> None:
    many, flag = isinstance(default, tuple), f"--{name.replace('_', '-')}"
    if isinstance(default, bool):
        group.add_argument(flag, action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS, help=help)
        return
    shown = "all" if many and choices == default else " ".join(map(str, default)) if many else default
    listed = f" of {', '.join(map(str, choices))}" if choices else ""
    group.add_argument(
        flag,
        type=type(default[0] if many else default),
        default=argparse.SUPPRESS,  # so that the options hold what was given
        choices=choices or None,
        metavar=type(default[0] if many else default).__name__.upper(),
        help=f"{help}{listed} (default: {shown})".replace("%", "%%"),
        **({"nargs": "+"} if many else {}),
    )


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = math.nan
    if not minutes >= 0:
        raise argparse.ArgumentTypeError(f"a number >= 0, got {text!r}")
    return minutes


if __name__ == "__main__":
    sys.exit(main())
