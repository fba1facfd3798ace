"""What an exported folder holds beside the language model: the critic, and the settings that make it a policy.

::

    adapter_config.json, adapter_model.safetensors    the adapter (or config.json, model.safetensors of a whole model)
    tokenizer.json ...                                the tokenizer
    critic.safetensors                                value head and log beta
    twosome.json                                      AgentSettings
    README.md                                         the model card
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from lightning_twosome.errors import UserError
from lightning_twosome.model_folder import read_json

CRITIC_FILE = "critic.safetensors"
SETTINGS_FILE = "twosome.json"
FORMAT = 1
# Arguments of ActorCritic that an exported agent keeps; beta is in the critic's file, as the float32 it was trained as.
POLICY_SETTINGS = (
    "normalization", "critic", "critic_hidden", "scoring", "token_budget", "share_work", "frozen_layers"
)  # fmt: skip
LANGUAGE_MODEL_SETTINGS = ("dtype", "quantization", "attn_implementation")


@dataclass
class AgentSettings:
    """Everything an agent needs besides its weights.

    Attributes:
        policy: Arguments of :class:`~lightning_twosome.ActorCritic`, those of ``POLICY_SETTINGS``.
        language_model: How the trunk was loaded: ``dtype``, ``quantization``, ``attn_implementation``.
        gamma: Discount per primitive step that the values are for.
        environment: Gymnasium id of the environment it was trained in, or the name of its class.
        environment_kwargs: Arguments of ``gymnasium.make`` there.
        merged: The adapter is part of the weights, so that the frozen model is not in the folder.
        format: Version of this file.
    """

    policy: dict[str, Any]
    language_model: dict[str, Any] = field(default_factory=dict)
    gamma: float = 0.99
    environment: str | None = None
    environment_kwargs: dict[str, Any] = field(default_factory=dict)
    merged: bool = False
    format: int = FORMAT

    def save(self, folder: Path) -> None:
        """Write them to ``twosome.json``."""
        (folder / SETTINGS_FILE).write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> AgentSettings:
        """Read them from an exported folder.

        Raises:
            UserError: The folder is no exported agent, or a later version wrote it.
        """
        if not (folder / SETTINGS_FILE).is_file():
            raise UserError(
                f"{str(folder)!r} is no exported agent, since it has no {SETTINGS_FILE}: write one with "
                "`lightning-twosome export --ckpt_path CHECKPOINT`."
            )
        content = read_json(folder / SETTINGS_FILE)
        known = {item.name for item in fields(cls)}
        if content.get("format") != FORMAT or not content.keys() <= known or "policy" not in content:
            raise UserError(
                f"{str(folder / SETTINGS_FILE)!r} has format {content.get('format')!r} and this version reads "
                f"{FORMAT}: upgrade lightning-twosome, or export the checkpoint again."
            )
        return cls(**content)
