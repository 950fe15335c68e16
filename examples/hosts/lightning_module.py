"""Lightning trains a KAN beside an MLP with as many parameters: pip install edgewise lightning."""

import lightning
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import edgewise as ew


class Regression(lightning.LightningModule):
    """Any network, trained on the mean squared error."""

    def __init__(self, model: nn.Module, steps: int) -> None:
        super().__init__()
        self.model, self.steps = model, steps

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        x, y = batch
        loss = nn.functional.mse_loss(self.model(x), y)
        self.log("loss", loss)
        return loss

    def configure_optimizers(self) -> dict:
        optimizer = ew.optim.Adam(self.parameters(), lr=1e-2)  # native on the CPU; torch.optim.Adam works as well
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: ew.training.Schedule("cosine")(step / self.steps)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def main(quick: bool = False) -> dict[str, float]:
    steps = 50 if quick else 2000
    x = 2 * torch.rand(1024, 2, generator=torch.Generator().manual_seed(0)) - 1
    y = (torch.sin(3 * x[:, :1]) + x[:, 1:] ** 2).exp()
    kan = ew.KAN([2, 5, 1], generator=torch.Generator().manual_seed(1))
    errors = {}
    for name, model in {"KAN": kan, "MLP": ew.compare.matched_mlp(kan)}.items():
        trainer = lightning.Trainer(
            max_steps=steps, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
        )
        trainer.fit(Regression(model, steps), DataLoader(TensorDataset(x, y), batch_size=256, shuffle=True))
        with torch.no_grad():
            errors[name] = (model(x) - y).square().mean().sqrt().item()
        print(f"{name}, {ew.compare.count_parameters(model)} parameters: error {errors[name]:.2e}")
    return errors


if __name__ == "__main__":
    main()
