"""What a page asks without a change: previews, predictions, other states, and files to take away."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from edgewise.viz import diagram, plot, svg
from edgewise.workbench.desk import PICTURES, Answer, Message, file_answer, picture_kind
from edgewise.workbench.document import (
    input_names,
    named_constants,
    prediction_document,
    preview_document,
    suggestions_document,
)
from edgewise.workbench.script import script
from edgewise.workbench.steps import ActionError, read_edge, read_number, step_of
from edgewise.workbench.summary import summary_page

if TYPE_CHECKING:
    from edgewise.workbench.workspace import Workspace

PIXELS_PER_INCH = 200


def _suggest(work: Workspace, message: Message) -> Answer:
    return {"candidates": suggestions_document(work.session, read_edge(work.session, message.get("edge")))}


def _preview(work: Workspace, message: Message) -> Answer:
    step = message.get("step")
    if not isinstance(step, Mapping) or not isinstance(step.get("do"), str) or step["do"] == "fit":
        raise ActionError("a preview takes a step other than a fit")
    wanted, session = step_of(work.session, step), work.session
    edge = wanted.arguments[0] if wanted.arguments and isinstance(wanted.arguments[0], tuple) else None
    return {"preview": preview_document(session, wanted.apply(session), edge)}


def _predict(work: Workspace, message: Message) -> Answer:
    values, count = message.get("x"), len(work.inputs)
    if not isinstance(values, list) or len(values) != count:
        raise ActionError(f"x is a list of {count} numbers, one per input")
    row = [read_number(v, -math.inf, math.inf, "an input") for v in values]
    if not all(map(math.isfinite, row)):
        raise ActionError("the inputs must be finite")
    return prediction_document(work.tree.current, work.tree.held, row)


def _compare(work: Workspace, message: Message) -> Answer:
    number = work.branch_of(message).id
    return {"state": number, **work.documents(number)}


def _constants(work: Workspace, message: Message) -> Answer:
    return {"formula": named_constants(work.session, work.symbols)}


def _script(work: Workspace, message: Message) -> Answer:
    return {"script": script(work.tree, work.tree.current.id)}


def _bundle(work: Workspace, message: Message) -> Answer:
    return file_answer("session.zip", "application/zip", work.archive())


def _picture(work: Workspace, message: Message) -> Answer:
    kind = picture_kind(message)
    drawing = diagram(work.session.model, work.session.x)
    if kind == "svg":
        content = svg(drawing, theme="light").encode()
    else:
        page = io.BytesIO()
        plot(drawing).savefig(page, format=kind, dpi=PIXELS_PER_INCH)
        content = page.getvalue()
    return file_answer(f"network.{kind}", PICTURES[kind], content)


def _summary(work: Workspace, message: Message) -> Answer:
    page = summary_page(work.title, work.tree, input_names(work.session), work.scale, work.symbols)
    return file_answer("report.html", "text/html", page.encode())


QUESTIONS: Mapping[str, Callable[[Workspace, Message], Answer]] = {
    "state": lambda work, message: work.state(),
    "suggest": _suggest,
    "preview": _preview,
    "predict": _predict,
    "compare": _compare,
    "constants": _constants,
    "script": _script,
    "bundle": _bundle,
    "picture": _picture,
    "report": _summary,
}
"""What is answered without a change."""
