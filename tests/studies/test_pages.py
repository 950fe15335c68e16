"""The pages of docs/results are what the stored results say."""

import pytest

from studies import pages

PAGES = pages.pages()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_written_from_its_result(name) -> None:
    assert (pages.PAGES / name).read_text(encoding="utf-8") == PAGES[name], "run `python -m studies.pages`"


def test_every_page_has_a_result_and_every_remark_its_page() -> None:
    assert {path.name for path in pages.PAGES.glob("*.md")} == set(PAGES)
    assert {path.name for path in (pages.PAGES / "notes").glob("*.md")} <= set(PAGES)


def test_figures_go_to_the_study_of_their_name() -> None:
    names = ["lotra", "lotra-rates", "pde", "pde_laws", "pde-heat"]
    found = {name: pages.figures_of(name, names) for name in names}
    assert "lotra-rates.png" in found["lotra-rates"]
    assert not found["lotra"] or "lotra-rates.png" not in found["lotra"]
