"""Docstrings are Markdown with `$math$`; Sphinx reads reStructuredText. This extension translates them."""

import re

FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<code>.*?)^ *```$", re.DOTALL | re.MULTILINE)
DISPLAY = re.compile(r"^(?P<indent> *)\$\$(?P<math>.+?)\$\$$", re.DOTALL | re.MULTILINE)
INLINE = re.compile(
    r"\$(?P<math>[^$]+)\$"
    r"|`(?P<code>[^`]+)`"
    r"|(?P<argument>^ +\*+\w+:)"
    r"|(?P<special>\*(?=\S)|(?<=\S)\*|\||(?<=\w)_(?!\w))",
    re.MULTILINE,
)


def to_rst(text: str) -> str:
    """The docstring in reStructuredText."""
    text = DISPLAY.sub(_display, FENCE.sub(_fence, text))
    paragraphs = re.split(r"\n(?: *\n)+", text)
    before = [None, *paragraphs]
    return "\n\n".join(_paragraph(p, b) for p, b in zip(paragraphs, before, strict=False))


def _paragraph(text: str, before: str | None) -> str:
    if text.lstrip().startswith((">>>", ".. math::", ".. code-block::")):
        return text
    if before is not None and before.lstrip().startswith(".. code-block::") and _indent(text) > _indent(before):
        return text
    if before is not None and _indent(text) >= 4 and _indent(before.splitlines()[-1]) == 0:
        return f"::\n\n{text}"
    return INLINE.sub(_inline, text)


def _indent(text: str) -> int:
    """The least indentation of the lines."""
    return min((len(line) - len(line.lstrip()) for line in text.splitlines() if line.strip()), default=0)


def _fence(match: re.Match[str]) -> str:
    indent = match["indent"]
    code = "\n".join(f"   {line}" for line in match["code"].splitlines())
    return f"{indent}.. code-block:: {match['language'] or 'text'}\n\n{code}\n"


def _display(match: re.Match[str]) -> str:
    return f"\n{match['indent']}.. math:: {_one_line(match['math'])}\n"


def _inline(match: re.Match[str]) -> str:
    if match["argument"]:
        return match["argument"]
    if match["special"]:
        return "\\" + match["special"]
    role = f":math:`{_one_line(match['math'])}`" if match["math"] else f"``{_one_line(match['code'])}``"
    text, start, end = match.string, match.start(), match.end()
    left = "\\ " if start and (text[start - 1].isalnum() or text[start - 1] in "-$`") else ""
    right = "\\ " if end < len(text) and (text[end].isalnum() or text[end] == "_") else ""
    return left + role + right


def _one_line(text: str) -> str:
    return " ".join(text.split())


def translate(app, what, name, obj, options, lines):
    """Rewrite the lines of a docstring in place, before the section headings are read."""
    lines[:] = to_rst("\n".join(lines)).split("\n")


def setup(app):
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", translate, priority=100)
    return {"parallel_read_safe": True}
