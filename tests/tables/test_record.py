"""The record of a run: from_json(to_json(record)) == record, and anything else is refused."""

import contextlib
import dataclasses
import json

import pytest

from edgewise.tables.job.record import (
    FORMAT,
    Disagreement,
    FormulaFacts,
    FrontEntry,
    JobSettings,
    NetworkFacts,
    RowCounts,
    RunRecord,
    Score,
)

FORMULA = FormulaFacts(
    text="y = 2*a",
    latex="y = 2 a",
    python="def formula(x0): ...",
    exact={"inputs": ("a",), "outputs": {"y": "2*a"}},
    inputs=("a",),
    origin="ratio of 1 terms",
    complexity=1,
    error_against_network=Disagreement(rmse=0.1, relative=0.05),
    constants=("factor of a: 2.00 ± 0.10, so 2",),
)


def record(**changes) -> RunRecord:
    made = RunRecord(
        table="t.csv",
        settings=JobSettings("y", names=("p=a",)),
        target="y",
        task="regression",
        classes=(),
        rounded_to=(),
        rows=RowCounts(70, 15, 15),
        scores=(Score("KAN", "network", {"rmse": 0.1, "r2": 0.9}, 30), Score("constant", "baseline", {"r2": 0.0}, 1)),
        importance={"a": 1.5, "b": 0.0},
        network=NetworkFacts((2, 5, 1), (2, 1, 1), 15, 3, 30, ("b",)),
        formula=FORMULA,
        front=(FrontEntry("y = 2*a", 1e-3, 1, "ratio of 1 terms"),),
        warnings=("few rows",),
    )
    return dataclasses.replace(made, **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"formula": None, "front": ()},
        {
            "task": "classification",
            "classes": (True, 3, "c"),
            "scores": (Score("KAN", "network", {"accuracy": 1.0}, 3),),
        },
    ],
)
def test_json_brings_back_an_equal_record(changes):
    first = record(**changes)
    text = json.dumps(first.to_json())
    assert RunRecord.from_json(json.loads(text)) == first
    assert json.loads(text)["format"] == FORMAT


def test_the_leading_measure_is_accuracy_where_there_is_one():
    assert record().leading == "r2"
    assert record().measures == ("r2", "rmse")
    rounded = record(scores=(Score("KAN", "network", {"r2": 0.9, "accuracy": 0.8}, 30),))
    assert (rounded.leading, rounded.measures) == ("accuracy", ("accuracy", "r2"))


def test_another_object_is_refused():
    good = record().to_json()
    for wrong in ([], {}, good | {"format": "edgewise-run-1"}, good | {"more": 1}):
        with pytest.raises(ValueError, match="run record"):
            RunRecord.from_json(wrong)
    good.pop("rows")
    with pytest.raises(ValueError, match="rows"):
        RunRecord.from_json(good)


OTHER = [None, 1, 1.5, "x", True, [], ["x"], {}, {"a": 1}]


def test_a_part_of_another_type_is_refused():
    """Every place of the object takes values of its own type alone, so that what shows a record can rely on them."""
    accepted = 0
    for path, right in list(places(json.loads(json.dumps(record().to_json())))):
        for wrong in OTHER:
            if (
                {"exact", "widths", "widths_before"} & set(path)
                or type(wrong) is type(right)
                or path[-1] in ("parameters", "relative", "same_value", "same_class")
            ):
                continue
            given = json.loads(json.dumps(record().to_json()))
            holder = given
            for key in path[:-1]:
                holder = holder[key]
            holder[path[-1]] = wrong
            taken = None
            with contextlib.suppress(ValueError):
                taken = RunRecord.from_json(given)
            if taken is not None:
                accepted += 1
                numbers = {type(right), type(wrong)} == {int, float}
                assert numbers or wrong is None or isinstance(right, str), (path, wrong)
    assert accepted < 30


def places(value, path=()):
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        yield (*path, key), part
        yield from places(part, (*path, key))
