"""Laws of the package as a whole."""

import subprocess
import sys

OPTIONAL = ("matplotlib", "sklearn", "pandas", "anywidget", "peft", "onnx", "huggingface_hub", "tyro", "rich")


def test_import_brings_nothing_optional():
    code = f"import sys, edgewise; print([m for m in {OPTIONAL} if m in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"
