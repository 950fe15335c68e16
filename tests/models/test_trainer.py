"""Transformers' own Trainer trains our GPT, fine-tunes a swapped model through LoTRA, and predicts every row."""

import pytest
import torch

import edgewise as ew

transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")
pytestmark = [pytest.mark.usefixtures("as_a_user"), pytest.mark.filterwarnings("ignore")]

SIZES = {"hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2}
GPT2 = {"n_embd": 8, "n_inner": 12, "n_layer": 1, "n_head": 2, "vocab_size": 20, "n_positions": 6, "pad_token_id": 0}
VIT = {"image_size": 8, "patch_size": 4, "num_channels": 1}
DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def bert():
    config = transformers.BertConfig(**SIZES, **DROPOUT, vocab_size=20, num_labels=2)
    return transformers.BertForSequenceClassification(config), "*.dense"


def gpt2():
    config = transformers.GPT2Config(**GPT2, num_labels=2, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
    return transformers.GPT2ForSequenceClassification(config), "*.mlp.*"


def vit():
    return transformers.ViTForImageClassification(transformers.ViTConfig(**SIZES, **DROPOUT, **VIT, num_labels=2)), None


def rows(name, count=24):
    g = torch.Generator().manual_seed(0)
    if name == "vit":
        x = torch.randn(count, 1, 8, 8, generator=g)
        return [{"pixel_values": image, "labels": int(image.mean() > 0)} for image in x]
    tokens = torch.randint(1, 20, (count, 6), generator=g)
    read = 0 if name == "bert" else -1  # the token whose state the head of this model reads
    return [{"input_ids": row, "labels": int(row[read] > 10)} for row in tokens]


def arguments(folder, **settings):
    return transformers.TrainingArguments(
        str(folder), learning_rate=0.05, per_device_train_batch_size=8, report_to=[], save_strategy="no", use_cpu=True,
        disable_tqdm=True, logging_strategy="no", seed=0, **settings,
    )  # fmt: skip


@pytest.mark.parametrize("make", [bert, gpt2, vit], ids=lambda make: make.__name__)
def test_the_trainer_fine_tunes_the_adapters_of_a_swapped_model(make, tmp_path):
    torch.manual_seed(0)
    model, where = make()
    data = rows(make.__name__)
    kan = ew.swap_linear(model, where=where)
    batch = {k: torch.stack([torch.as_tensor(row[k]) for row in data]) for k in data[0]}
    model.eval(), kan.eval()
    with torch.no_grad():
        torch.testing.assert_close(kan(**batch).logits, model(**batch).logits, rtol=1e-5, atol=1e-6)
        loss = float(kan(**batch).loss)

    adapted = ew.add_lotra(kan, 2)
    fixed = {name: p.clone() for name, p in adapted.named_parameters() if not p.requires_grad}
    trainer = transformers.Trainer(adapted, arguments(tmp_path, max_steps=40), train_dataset=data)
    trainer.train()
    predicted = trainer.predict(data)
    assert predicted.predictions.shape == (len(data), 2)
    assert predicted.metrics["test_loss"] < 0.9 * loss
    assert all(torch.equal(dict(adapted.named_parameters())[name], p) for name, p in fixed.items())


def test_the_trainer_trains_our_gpt_and_predicts_every_row(tmp_path):
    """Texts that count upwards; the last batch of the prediction is not full."""
    from edgewise.models.kan_gpt_transformers import KANGPTConfig, KANGPTForCausalLM

    torch.manual_seed(0)
    model = KANGPTForCausalLM(KANGPTConfig(symbols=10, context=8, features=16, heads=2, layers=1))
    starts = torch.arange(21) % 10
    data = [{"input_ids": row, "labels": row} for row in (starts[:, None] + torch.arange(8)) % 10]
    settings = {"per_device_eval_batch_size": 8, "lr_scheduler_type": "cosine", "max_steps": 60}
    trainer = transformers.Trainer(model, arguments(tmp_path, **settings), train_dataset=data)
    before = trainer.predict(data)
    trainer.train()
    after = trainer.predict(data)
    assert after.predictions.shape == (21, 8, 10)
    assert after.metrics["test_loss"] < 0.2 * before.metrics["test_loss"]
    expected = torch.cat([model(row["input_ids"][None]).logits for row in data]).detach()
    torch.testing.assert_close(torch.as_tensor(after.predictions), expected, rtol=1e-4, atol=1e-4)
    assert (after.predictions[:, :-1].argmax(-1) == after.label_ids[:, 1:]).mean() > 0.9
