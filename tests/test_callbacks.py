"""Laws of what sees a run: every number arrives, under its name, at rising steps."""

import re
from itertools import pairwise

import pytest
import torch

import edgewise as ew
from edgewise.callbacks import Logger, MLflow, TensorBoard, WandB


class Kept(Logger):
    def __init__(self, prefix=""):
        super().__init__(prefix)
        self.rows = []

    def _log(self, numbers, step):
        self.rows.append((step, dict(numbers)))


def data():
    x = 2 * torch.rand(60, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 1
    return x, x[:, :1] * x[:, 1:]


def fitted(method, *callbacks):
    model = ew.KAN([2, 2, 1], generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return ew.fit(model, data(), method, validation=0.2, callbacks=callbacks)


METHODS = {
    "adam": ew.FirstOrder("adam", steps=4, schedule="cosine"),
    "lm": ew.LevenbergMarquardt(steps=4),
    "auto": ew.Auto(starts=2, degrees=(3,), steps=3),
}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_a_logger_sees_every_number_of_the_history(method):
    kept = Kept("fold 1/")
    history = fitted(method, kept).history
    steps = [step for step, _ in kept.rows]
    assert all(a < b for a, b in pairwise(steps))
    for record in history:
        numbers = {f"fold 1/{k}": v for k, v in record.items() if k != "step" and not isinstance(v, str)}
        assert numbers in [row for _, row in kept.rows]


def test_steps_rise_where_the_run_starts_its_count_again():
    kept, model = Kept(), torch.nn.Identity()
    for step in (5, 10, 5, 10, 30):
        kept(ew.training.State(model, step, {"step": step, "stage": "a", "loss": float(step)}))
    assert [step for step, _ in kept.rows] == [5, 10, 11, 12, 30]
    assert [row["loss"] for _, row in kept.rows] == [5, 10, 5, 10, 30]


@pytest.mark.usefixtures("as_a_user")
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TensorBoard("runs"), r"SummaryWriter\(folder\), got 'runs'"),
        (lambda: WandB(None), r"the run that wandb.init\(...\) returns, got None"),
    ],
)
def test_mistakes_are_explained(make, message):
    with pytest.raises(TypeError, match=message):
        make()


@pytest.mark.slow
def test_tensorboard_holds_every_number(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path)) as writer:
        history = fitted(METHODS["adam"], TensorBoard(writer)).history
    events = EventAccumulator(str(tmp_path)).Reload()
    for name in ("loss", "validation", "lr"):
        stored = [(e.step, e.value) for e in events.Scalars(name)]
        assert stored == [(r["step"], pytest.approx(r[name], rel=1e-6)) for r in history]  # kept in float32


@pytest.mark.slow
def test_mlflow_holds_every_number(tmp_path, monkeypatch):
    import mlflow

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri(tmp_path.as_uri())
    mlflow.set_experiment("edgewise")
    with pytest.raises(RuntimeError, match=r"inside `with mlflow.start_run"):
        fitted(METHODS["adam"], MLflow())
    with mlflow.start_run() as run:
        history = fitted(METHODS["adam"], MLflow(prefix="a/")).history
    stored = mlflow.MlflowClient().get_metric_history(run.info.run_id, "a/validation")
    assert [(m.step, m.value) for m in stored] == [(r["step"], r["validation"]) for r in history]


@pytest.mark.slow
def test_wandb_offline_holds_every_number(tmp_path):
    import wandb

    with wandb.init(project="edgewise", dir=str(tmp_path), mode="offline") as run:
        kept = Kept()
        fitted(METHODS["auto"], kept, WandB(run))
    (file,) = tmp_path.rglob("run-*.wandb")
    texts = re.findall(rb"\d+\.?\d*(?:e[+-]\d+)?", file.read_bytes())  # W&B ships no reader of its log of JSON texts
    assert {value for _, row in kept.rows for value in row.values()} <= set(map(float, texts))
