"""The language model's own policy: TWOSOME without training.

prompt + actions --frozen model--> log p(action | prompt) [B, K] --normalize, * beta, softmax--> policy
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from lightning_twosome.agent import Normalization
from lightning_twosome.errors import UserError
from lightning_twosome.language_model import LanguageModel, LanguageModelConfig
from lightning_twosome.modules.language_model_policy import LanguageModelPolicy
from lightning_twosome.modules.on_policy import Bounds
from lightning_twosome.vector_env import State


class FrozenPolicy(LanguageModelPolicy):
    """Base of the baselines whose language model stays as it is: no adapter is added and no weight of it is trained."""

    def load_language_model(self) -> LanguageModel:
        """The model as it is found, with an adapter only where its folder has one."""
        language_model = replace(self.language_model_config, lora=None).load()
        language_model.model.requires_grad_(False)
        return language_model

    def state_values(self, states: Sequence[State]) -> Tensor:
        """Zeros: nobody has learned a value."""
        return torch.zeros(len(states))


class ZeroShot(FrozenPolicy):
    """The policy that TWOSOME starts from, for ``validate``, ``test`` and ``predict``.

    Args:
        language_model: What to load: a config, the same as a mapping, or a name. Its ``lora`` is not looked at.
        normalization: "sum", "token", "word" or "character": what divides an action's log-probability; or "trie".
        beta: Inverse temperature on the normalised scores, or "mean_count" for the mean count that the normalisation
            divides by.
        scoring: "auto", "tree", "cache" or "duplicate".
        token_budget: Most positions in one forward pass.
        cache_megabytes: Most that each memory of decisions may take (docs/training.md).
        gamma: Discount per primitive environment step, of the returns that are reported.

    Raises:
        UserError: A value is out of range, it is asked to train, or the language model cannot be loaded.
    """

    RANGES: ClassVar[Mapping[str, Bounds]] = {**LanguageModelPolicy.RANGES, "token_budget": (1, None)}

    def __init__(
        self,
        language_model: LanguageModelConfig | str = "bundled",
        normalization: Normalization = "word",
        beta: float | Literal["mean_count"] = 1.0,
        scoring: str = "auto",
        token_budget: int = 16384,
        cache_megabytes: float = 512,
        gamma: float = 0.99,
    ) -> None:
        super().__init__(gamma, gae_lambda=1.0, return_window=1)
        self.save_hyperparameters(ignore=["language_model"])
        self.check_ranges()
        self.describe_language_model(language_model)

    def setup(self, stage: str) -> None:
        """Refuse to train."""
        if stage == "fit":
            raise self._refusal()
        super().setup(stage)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """There is none; Lightning asks for one before it calls :meth:`setup`, which says so."""
        raise self._refusal()

    def configure_optimizers(self) -> None:
        """None, since nothing is trained."""

    def _refusal(self) -> UserError:
        return UserError("ZeroShot has nothing to train: use validate, test or predict, or train a TwosomePPO.")
