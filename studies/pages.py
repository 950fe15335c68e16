"""Writes docs/results from the stored results: a page for each study, and their index. `python -m studies.pages`."""

from __future__ import annotations

from pathlib import Path

from edgewise.io.whole import write_whole
from studies import table
from studies.result import RESULTS, StudyResult

PAGES = Path(__file__).parent.parent / "docs" / "results"
FIGURES = "../../studies/results"

INTRODUCTION = """\
# Results

Every page is written from a file of `studies/results` by `python -m studies.pages`. `python -m studies NAME` repeats a
study; `studies/README.md` describes its options and the layout of the files.

| study | measured |
| --- | --- |
{rows}

```{{toctree}}
:hidden:

{names}
```
"""


def main() -> None:
    """Write all pages."""
    for name, text in pages().items():
        write_whole(PAGES / name, text)


def pages() -> dict[str, str]:
    """The text of every page by its file name."""
    results = [found for path in sorted(RESULTS.glob("*.json")) if (found := StudyResult.read(path.stem))]
    names = [result.study for result in results]
    return {"index.md": index(results)} | {f"{r.study}.md": page(r, figures_of(r.study, names)) for r in results}


def index(results: list[StudyResult]) -> str:
    """The list of all studies."""
    rows = "\n".join(f"| [{r.study}]({r.study}.md) | {r.title} |" for r in results)
    return INTRODUCTION.format(rows=rows, names="\n".join(r.study for r in results))


def page(result: StudyResult, figures: list[str]) -> str:
    """Title, what was measured and where, the remarks in docs/results/notes, the table, and the figures."""
    notes = PAGES / "notes" / f"{result.study}.md"
    parts = [
        f"# {result.study}",
        f"{result.title}. {_origin(result)}",
        notes.read_text(encoding="utf-8").strip() if notes.exists() else "",
        table.markdown(result.summary),
        *(f"![{name}]({FIGURES}/{name})" for name in figures),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def figures_of(study: str, studies: list[str]) -> list[str]:
    """The figures STUDY.png and STUDY-*.png that do not belong to a study with a longer name."""
    longer = [name for name in studies if name.startswith(study) and name != study]
    found = [path.stem for path in sorted(RESULTS.glob("*.png")) if _belongs(path.stem, study)]
    return [f"{stem}.png" for stem in found if not any(_belongs(stem, other) for other in longer)]


def _belongs(figure: str, study: str) -> bool:
    return figure == study or figure.startswith((f"{study}-", f"{study}_"))


def _origin(result: StudyResult) -> str:
    """How many rows, from which commits and which machine."""
    environment, seeds = result.environment, {row["seed"] for row in result.rows if "seed" in row}
    commits = sorted({row.get("commit") or environment.get("commit") for row in result.rows} - {None})
    counts = f"{len(result.rows)} rows" + (f", {len(seeds)} seeds" if len(seeds) > 1 else "")
    at = f" at commit{'s' * (len(commits) > 1)} {', '.join(commits)}" if commits else ""
    machine = (environment.get("machine") or {}).get("cpu") or "an unnamed machine"
    return f"{counts}, measured{at} on {machine}. File: `studies/results/{result.study}.json`."


if __name__ == "__main__":
    main()
