"""A trained agent as files that other libraries read: a PEFT folder or a merged model, with all that makes it an agent.

::

    checkpoint --load_trained--> module --export_checkpoint--> folder --TwosomeAgent.from_pretrained--> agent

lightning_twosome.agent_folder says what is in the folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from peft import PeftModel
from safetensors.torch import save_file

from lightning_twosome.agent_folder import (
    CRITIC_FILE,
    LANGUAGE_MODEL_SETTINGS,
    POLICY_SETTINGS,
    AgentSettings,
)
from lightning_twosome.data import RolloutDataModule
from lightning_twosome.decisions import Decision
from lightning_twosome.errors import UserError
from lightning_twosome.model_card import CARD_FILE, is_bundled, model_card
from lightning_twosome.modules import BehaviourCloning, TwosomePPO
from lightning_twosome.run_folder import load_checkpoint, run_dir_of

Trained = TwosomePPO | BehaviourCloning
"""The modules that train a language model."""

__all__ = ["CRITIC_FILE", "export_checkpoint", "load_trained", "module_of_checkpoint", "settings_of"]


def export_checkpoint(
    module: Any,
    data: RolloutDataModule,
    ckpt_path: Path,
    output: Path,
    merge: bool = False,
    licence: str | None = None,
) -> Path:
    """Write adapter or merged model, tokenizer, critic, settings and model card of a checkpoint.

    Args:
        module: A module that trains a language model, as configured for the run; merging takes its adapter away.
        data: Its data module, for the environment.
        ckpt_path: The checkpoint.
        output: Folder to write.
        merge: Add the adapter to the weights and write a whole model.
        licence: For the model card, the hub's identifier.

    Returns:
        The folder.

    Raises:
        UserError: The module trains no language model, the checkpoint does not fit, or there is nothing to merge.
    """
    if not isinstance(module, Trained):
        raise UserError(f"export writes a language model's adapter, but model.class_path is {type(module).__name__}.")
    if output.is_file():
        raise UserError(f"output={str(output)!r} is a file; name a folder, which need not exist.")
    checkpoint = load_trained(module, ckpt_path)
    model: Any = module.agent.model
    if merge:
        _check_mergeable(module)
    adapter = isinstance(model, PeftModel) and not merge
    base = _base_model(module)  # while the adapter still says it
    settings = settings_of(module, merged=merge)
    settings.environment, settings.environment_kwargs, example = _environment(data)
    output.mkdir(parents=True, exist_ok=True)
    (merged(model) if merge else model).save_pretrained(output, safe_serialization=True)
    module.language_model.tokenizer.save_pretrained(output)
    critic = {name: tensor.contiguous() for name, tensor in module.agent.critic.state_dict().items()}
    save_file({**critic, "log_beta": module.agent.log_beta.detach()}, output / CRITIC_FILE)
    settings.save(output)
    beta, run_dir = float(module.agent.beta.detach()), run_dir_of(ckpt_path)
    card = model_card(settings, base, adapter, beta, module.METHOD, checkpoint, example, run_dir, licence)
    (output / CARD_FILE).write_text(card, encoding="utf-8")
    return output


def load_trained(module: Trained, ckpt_path: Path) -> dict[str, Any]:
    """Load a checkpoint's weights into a module that is configured alike; returns the checkpoint."""
    checkpoint = load_checkpoint(ckpt_path)
    module.configure_model()
    module.on_load_checkpoint(checkpoint)
    module.load_state_dict(checkpoint["state_dict"], strict=False)
    return checkpoint


def module_of_checkpoint(ckpt_path: Path) -> Trained:
    """The module that wrote a checkpoint, with its weights.

    Raises:
        UserError: The file is no checkpoint, or not that of a language model's policy.
    """
    checkpoint = load_checkpoint(ckpt_path)
    saved: Mapping[str, Any] = checkpoint.get("hyper_parameters", {})
    package, _, name = str(saved.get("_class_path", "lightning_twosome.TwosomePPO")).rpartition(".")
    kind = getattr(import_module(package), name)
    if not issubclass(kind, Trained) or "language_model" not in saved:
        raise UserError(f"The checkpoint {str(ckpt_path)!r} holds a {name}, not a language model's policy.")
    module: Trained = kind(**{key: value for key, value in saved.items() if not key.startswith("_")})
    load_trained(module, ckpt_path)
    return module


def settings_of(module: Trained, merged: bool = False) -> AgentSettings:
    """What an agent with this module's policy needs besides its weights; the environment is left out."""
    policy = {name: module.hparams[name] for name in POLICY_SETTINGS}
    policy["critic_hidden"] = list(policy["critic_hidden"])
    config = module.language_model_config
    language_model = {name: getattr(config, name) for name in LANGUAGE_MODEL_SETTINGS}
    return AgentSettings(policy=policy, language_model=language_model, gamma=module.gamma, merged=merged)


def merged(model: PeftModel) -> Any:
    """The base model with the adapter in its weights, which keep their dtype; computed in float32."""
    dtype = next(parameter.dtype for parameter in model.parameters() if not parameter.requires_grad)
    whole: Any = model.float().merge_and_unload(safe_merge=True)
    whole.requires_grad_(True)
    return whole.to(dtype)


def _check_mergeable(module: Trained) -> None:
    if not isinstance(module.agent.model, PeftModel):
        raise UserError("--merge has nothing to do, since this language model was trained whole: leave it out.")
    if module.language_model_config.quantization:
        raise UserError(
            "--merge cannot add an adapter to quantized weights: export without it, or with "
            "--model.language_model.quantization null in the config."
        )


def _base_model(module: Trained) -> tuple[str, str | None]:
    """Name and revision of the model under the adapter, which training may itself have begun from an export."""
    model: Any = module.agent.model
    name, revision = module.language_model_config.name, module.language_model.revision
    if isinstance(model, PeftModel):
        config: Any = model.peft_config["default"]
        name, revision = str(config.base_model_name_or_path or name), config.revision
    return ("bundled" if is_bundled(name) else name), revision


def _environment(data: RolloutDataModule) -> tuple[str, dict[str, Any], Decision]:
    """Name of the environment, its arguments, and the decision it begins with."""
    env = data.make_env()
    try:
        prompt, info = env.reset(seed=0)
        example = Decision(str(prompt), tuple(info["actions"]))
        if env.spec is None:
            return type(env.unwrapped).__name__, {}, example
        return env.spec.id, dict(data.env_kwargs), example
    finally:
        env.close()
