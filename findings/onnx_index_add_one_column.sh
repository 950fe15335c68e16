#!/usr/bin/env bash
# torch 2.13.0 with onnxscript 0.7.2 (onnx 1.23.2, onnxruntime 1.32.0): an exported index_add forgets what it adds to.
#
# Guess: torch.onnx.export(dynamo=True) of y.index_add(-1, [0], v) gives y + v for a y of one column, as it does for two
#        columns, with optimize=True as with optimize=False.
# Seen:  with one column and optimize=True, the default, the graph returns v alone: 5 where 1 + 5 = 6 is right, for
#        every input and without a warning. optimize=False is right, and so are two columns.
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


class Add(torch.nn.Module):
    def __init__(self, columns):
        super().__init__()
        self.columns = columns

    def forward(self, v):
        y = torch.ones(v.shape[0], self.columns)
        return y.index_add(-1, torch.tensor([0]), v)


def exported(columns, optimize):
    v = torch.full((4, 1), 5.0)
    path = pathlib.Path(sys.argv[1]) / "model.onnx"
    torch.onnx.export(Add(columns), (v,), dynamo=True, optimize=optimize, verbose=False).save(path)
    session = onnxruntime.InferenceSession(path)
    (y,) = session.run(None, {session.get_inputs()[0].name: v.numpy()})
    return y[0].tolist()


seen = {(columns, optimize): exported(columns, optimize) for columns in (1, 2) for optimize in (False, True)}
assert seen == {(1, False): [6.0], (1, True): [5.0], (2, False): [6.0, 1.0], (2, True): [6.0, 1.0]}, seen
print(seen)
PY
