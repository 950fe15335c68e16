"""A session's script makes the same network again."""

import base64
import io
import runpy
import zipfile

import torch

import edgewise as ew

A, B = [0, 0, 0], [0, 1, 0]


def test_the_script_makes_the_same_network(do, work, tmp_path, capsys):
    do("fit", steps=20)
    do("prune", least=0.001)
    do("shape", edge=B, shape="convex")
    do("fix", edge=A, name="cos")
    do("undo")
    do("forbid", names=["cos"])
    do("fix", edge=A, name="sin")
    do("lock", edges=[A])
    do("refine", intervals=12)
    do("fit", steps=10)
    archive = zipfile.ZipFile(io.BytesIO(base64.b64decode(do("bundle")["file"]["base64"])))
    archive.extractall(tmp_path)
    source = (tmp_path / "session.py").read_text()
    assert source == do("script")["script"]
    assert "cos" not in source.replace("forbid('cos')", "")
    end = runpy.run_path(str(tmp_path / "session.py"))
    assert float(capsys.readouterr().out.split()[1]) == float(f"{work.tree.current.error:.6g}")
    again, model = end["model"], work.session.model
    assert isinstance(again, ew.KAN)
    with torch.no_grad():
        assert (again(work.session.x) - model(work.session.x)).abs().max() <= 1e-12
    for name, value in model.state_dict().items():
        assert torch.allclose(again.state_dict()[name], value, rtol=0, atol=1e-12)
