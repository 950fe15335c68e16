#!/usr/bin/env bash
# torch 2.13.0 with onnxscript 0.7.2 (onnx 1.23.2, onnxruntime 1.32.0): two equal clamps become a graph without a source.
#
# Guess: min(max(x, low), high), written twice for one x with bounds of one element, exports to an ONNX graph that a
#        runtime can load; the optimizer may compute it once.
# Seen:  with optimize=True, the default, the export ends without an error, and the file is no valid graph: onnxruntime
#        refuses it because a node reads a value that no node writes. optimize=False gives a graph that runs and agrees.
# Fails when this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 numpy onnx==1.23.2 \
    onnxscript==0.7.2 onnxruntime==1.32.0
"$folder/venv/bin/python" - "$folder" <<'PY'
import pathlib
import sys
import warnings

import onnxruntime
import torch

warnings.filterwarnings("ignore")


class TwoClamps(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("low", torch.tensor([-1.0]))
        self.register_buffer("high", torch.tensor([1.0]))

    def forward(self, x):
        first = torch.minimum(torch.maximum(x, self.low), self.high)
        second = torch.minimum(torch.maximum(x, self.low), self.high)
        return first.sin() + second.cos()


def outcome(optimize):
    x = torch.linspace(-2, 2, 8)[:, None]
    path = pathlib.Path(sys.argv[1]) / "model.onnx"
    torch.onnx.export(TwoClamps(), (x,), dynamo=True, optimize=optimize, verbose=False).save(path)
    try:
        session = onnxruntime.InferenceSession(path)
    except Exception as error:
        return type(error).__name__
    (y,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    return "agrees" if abs(y - TwoClamps()(x).numpy()).max() < 1e-6 else "differs"


seen = {optimize: outcome(optimize) for optimize in (False, True)}
print(seen)
assert seen[False] == "agrees", seen
assert seen[True] not in ("agrees", "differs"), seen
PY
