"""Pretraining of the small causal language model with Lightning."""

import math
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import lightning as L
import torch
from lightning.pytorch.callbacks import TQDMProgressBar
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from lightning_twosome.errors import UserError


@dataclass(frozen=True)
class Recipe:
    """Shape of the model and of its training.

    Attributes:
        hidden_size: Width of the model.
        layers: Number of decoder layers.
        heads: Number of attention heads.
        intermediate_size: Width of the feed-forward layers.
        context: Length of a training window in tokens.
        max_positions: Longest input in tokens which the configuration announces.
        batch_size: Windows per step.
        steps: Number of optimiser steps.
        learning_rate: Peak learning rate, reached after ``warmup_steps`` and lowered to a tenth along a cosine.
        warmup_steps: Steps of linear warm-up.
        weight_decay: Decay of the matrices; norms are exempt.
        precision: Of the products, as Lightning names it; weights and optimiser are float32 in either case.
    """

    hidden_size: int = 192
    layers: int = 4
    heads: int = 6
    intermediate_size: int = 512
    context: int = 256
    max_positions: int = 512
    batch_size: int = 8
    steps: int = 2600
    learning_rate: float = 3e-3
    warmup_steps: int = 100
    weight_decay: float = 0.1
    precision: Literal["32-true", "bf16-mixed"] = "32-true"


def build_model(recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Returns an untrained model with tied embeddings; it has no end-of-text token."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.hidden_size,
        intermediate_size=recipe.intermediate_size,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads,
        max_position_embeddings=recipe.max_positions,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=None,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


class LanguageModelingModule(L.LightningModule):
    """Next-token prediction with AdamW, linear warm-up and cosine decay."""

    def __init__(self, model: LlamaForCausalLM, recipe: Recipe) -> None:
        """Wraps a model; ``recipe`` gives the optimiser's settings."""
        super().__init__()
        self.model = model
        self.recipe = recipe
        self._started = time.monotonic()

    def on_train_start(self) -> None:
        """Starts the clock for the throughput figure."""
        self._started = time.monotonic()

    def training_step(self, batch: tuple[Tensor], batch_index: int) -> Tensor:
        """Returns the mean negative log-likelihood in nats of a batch of token windows (batch x context)."""
        (tokens,) = batch
        logits = self.model(input_ids=tokens).logits
        loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
        seen = (batch_index + 1) * tokens.numel()
        self.log("loss", loss, prog_bar=True)
        self.log("tokens/s", seen / (time.monotonic() - self._started + 1e-9), prog_bar=True)
        return loss

    def configure_optimizers(self) -> Any:
        """Returns AdamW, decaying matrices only, with its schedule per step."""
        matrices = [weight for weight in self.model.parameters() if weight.ndim > 1]
        vectors = [weight for weight in self.model.parameters() if weight.ndim < 2]
        groups = [
            {"params": matrices, "weight_decay": self.recipe.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=self.recipe.learning_rate, betas=(0.9, 0.95))
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, self._relative_rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _relative_rate(self, step: int) -> float:
        if step < self.recipe.warmup_steps:
            return (step + 1) / self.recipe.warmup_steps
        progress = (step - self.recipe.warmup_steps) / max(1, self.recipe.steps - self.recipe.warmup_steps)
        return 0.1 + 0.45 * (1 + math.cos(math.pi * min(1.0, progress)))


class CorpusDataModule(L.LightningDataModule):
    """Windows of the tokenised corpus; half of them begin with a document, half anywhere."""

    def __init__(self, documents: Sequence[str], tokenizer: PreTrainedTokenizerFast, recipe: Recipe, seed: int) -> None:
        """Tokenises the documents and draws the windows of all steps; ``seed`` fixes the draw."""
        super().__init__()
        ids = tokenizer(list(documents), truncation=False, verbose=False)["input_ids"]
        stream = torch.tensor([token for document in ids for token in document])
        lengths = torch.tensor([len(document) for document in ids])
        last = len(stream) - recipe.context
        if last < 0:
            raise UserError(
                f"The corpus has {len(stream)} tokens, fewer than one window of {recipe.context}: generate more documents."
            )
        generator = torch.Generator().manual_seed(seed)
        starts = torch.cumsum(lengths, 0) - lengths
        starts = starts[starts <= last]
        count = recipe.steps * recipe.batch_size
        passes = math.ceil(count / len(starts))
        aligned = torch.cat([starts[torch.randperm(len(starts), generator=generator)] for _ in range(passes)])[:count]
        anywhere = torch.randint(0, last + 1, (count,), generator=generator)
        chosen = torch.where(torch.rand(count, generator=generator) < 0.5, aligned, anywhere)
        self.token_count = len(stream)
        self._windows = chosen[:, None] + torch.arange(recipe.context)
        self._stream = stream
        self._batch_size = recipe.batch_size

    def train_dataloader(self) -> DataLoader:
        """Returns the windows in the order drawn, one batch per step."""
        return DataLoader(TensorDataset(self._stream[self._windows]), batch_size=self._batch_size)


class EarlyModels(L.Callback):
    """Hands the model on after chosen steps of its training."""

    def __init__(self, steps: Collection[int], keep: Callable[[int, float | None], None]) -> None:
        """``keep`` is called with each of ``steps`` and the loss of that step in nats, None before the first one."""
        self._steps = frozenset(steps)
        self._keep = keep

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Step 0: the random weights."""
        if 0 in self._steps:
            self._keep(0, None)

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, batch_index: int
    ) -> None:
        """Any later step."""
        if trainer.global_step in self._steps:
            self._keep(trainer.global_step, float(trainer.callback_metrics["loss"]))


def pretrain(
    model: LlamaForCausalLM,
    data: CorpusDataModule,
    recipe: Recipe,
    progress: bool = True,
    callbacks: Sequence[L.Callback] = (),
) -> float:
    """Trains a model on the CPU.

    Args:
        model: Model to train in place.
        data: Windows of the corpus.
        recipe: Number of steps, precision and optimiser settings.
        progress: Whether to show a progress bar with the loss in nats and the tokens per second.
        callbacks: More callbacks, such as :class:`EarlyModels`.

    Returns:
        The loss of the last step in nats.
    """
    trainer = L.Trainer(
        max_steps=recipe.steps,
        max_epochs=1,
        accelerator="cpu",
        precision=recipe.precision,
        gradient_clip_val=1.0,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=progress,
        log_every_n_steps=10,
        callbacks=[*callbacks, *([TQDMProgressBar(refresh_rate=20)] if progress else [])],
    )
    model.train()
    trainer.fit(LanguageModelingModule(model, recipe), data)
    model.eval()
    return float(trainer.callback_metrics["loss"])
