"""What a checkpoint keeps of a policy on a language model: the weights that training changes; the trunk has a name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from lightning_twosome.errors import UserError

POLICY, BETA = "actor_critic.", "actor_critic.log_beta"


def kept_weights(module: nn.Module, state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """Adapter, critic and beta, and what does not belong to the policy, such as the metrics' windows."""
    return {name: state_dict[name] for name in kept_names(module, state_dict)}


def kept_names(module: nn.Module, names: Iterable[str]) -> list[str]:
    """Those of a state dict's names that stand in a checkpoint."""
    kept = {name for name, parameter in module.named_parameters() if parameter.requires_grad} | {BETA}
    return [name for name in names if name in kept or not name.startswith(POLICY)]


def check_weights(module: nn.Module, checkpoint: dict[str, Any]) -> None:
    """Compare a checkpoint's weights with the module's before any is loaded.

    Raises:
        UserError: Weights are missing, left over or of another shape.
    """
    if "state_dict" not in checkpoint:  # ModelParallelStrategy has loaded them, each to its share
        return
    own = {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
    saved = {name: tensor for name, tensor in checkpoint["state_dict"].items() if name.startswith(POLICY)}
    wrong = [name for name in own if name not in saved or saved[name].shape != own[name].shape]
    wrong += [name for name in saved if name not in own and name != BETA]
    if wrong:
        raise UserError(
            f"The checkpoint's trainable weights are not this model's ({len(wrong)} differ, the first is "
            f"{wrong[0]!r}); it was trained with "
            f"language_model={checkpoint.get('hyper_parameters', {}).get('language_model')}: set "
            "model.language_model and model.critic_hidden alike."
        )
