#!/usr/bin/env bash
# openvino 2026.4.1 (torch 2.13.0): a row added to counted comparisons is added along the batch.
#
# Guess: an interval search, (x[..., None] >= knots).to(int64).sum(-1) + first, where `first` has one integer per column,
#        means in OpenVINO what it means in torch: entry j of `first` is added to column j.
# Seen:  without an error, and in float32 as asked for, entry i of `first` is added to the whole row i. A batch of one
#        row, with which one tries a file, is right wherever the first entry is all that counts; the count alone is right
#        for every row, and so is the sum if count and row are added as float32 and become integers afterwards or if the
#        result is converted to float32.
# Fails when this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6 packaging openvino==2026.4.1
"$folder/venv/bin/python" - <<'PY'
import logging
import warnings

import openvino
import torch

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

knots = torch.linspace(-2, 2, 31).repeat(4, 1)
first = torch.arange(4) * 32
FORMS = {
    "count": lambda x: (x[..., None] >= knots).to(torch.int64).sum(-1),
    "count + row": lambda x: (x[..., None] >= knots).to(torch.int64).sum(-1) + first,
}


class Form(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


x = torch.linspace(-3, 3, 16).reshape(4, 4)
for name, function in FORMS.items():
    program = torch.export.export(Form(function), (x,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    compiled = openvino.Core().compile_model(
        openvino.convert_model(program), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    got, expected = torch.as_tensor(compiled([x.numpy()])[0]), function(x)
    print(name, "torch:", expected[1].tolist(), "OpenVINO:", got[1].tolist())
    if name == "count":
        assert torch.equal(got, expected), "the count has changed"
    else:
        assert torch.equal(got, FORMS["count"](x) + first[:, None]), "the sum has changed"
        assert not torch.equal(got, expected), "the sum is right now"
PY
echo "as described"
