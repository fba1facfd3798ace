"""A trained agent as files that other libraries read: a PEFT folder, its tokenizer, the critic and a model card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from peft import PeftModel
from safetensors.torch import save_file

from lightning_twosome.data import RolloutDataModule
from lightning_twosome.errors import UserError
from lightning_twosome.model_folder import bundled_path
from lightning_twosome.modules import TwosomePPO
from lightning_twosome.run_folder import data_state, load_checkpoint

CRITIC_FILE = "critic.safetensors"


def export_checkpoint(module: Any, data: RolloutDataModule, ckpt_path: Path, output: Path) -> Path:
    """Write adapter, tokenizer, critic and model card of a checkpoint.

    Args:
        module: A :class:`TwosomePPO` as configured for the run.
        data: Its data module, for the model card.
        ckpt_path: The checkpoint.
        output: Folder to write.

    Returns:
        The folder.

    Raises:
        UserError: The module is no TwosomePPO, or the checkpoint does not fit.
    """
    if not isinstance(module, TwosomePPO):
        raise UserError(f"export writes a language model's adapter, but model.class_path is {type(module).__name__}.")
    checkpoint = load_checkpoint(ckpt_path)
    module.configure_model()
    module.on_load_checkpoint(checkpoint)
    module.load_state_dict(checkpoint["state_dict"], strict=False)
    output.mkdir(parents=True, exist_ok=True)
    module.agent.model.save_pretrained(output, safe_serialization=True)
    module.language_model.tokenizer.save_pretrained(output)
    critic = {name: tensor.contiguous() for name, tensor in module.agent.critic.state_dict().items()}
    save_file({**critic, "log_beta": module.agent.log_beta.detach()}, output / CRITIC_FILE)
    (output / "README.md").write_text(model_card(module, data, checkpoint), encoding="utf-8")
    return output


def model_card(module: TwosomePPO, data: RolloutDataModule, checkpoint: dict[str, Any]) -> str:
    """What the folder is, trained on what, how, and how to load it, as Markdown."""
    config = module.language_model_config
    adapted = isinstance(module.agent.model, PeftModel)
    env = data.make_env()
    environment = env.spec.id if env.spec is not None else type(env.unwrapped).__name__
    env.close()
    state = data_state(checkpoint)
    rows = {
        "environment": environment,
        "environment steps": state.get("env_steps", "unknown"),
        "seed": state.get("seed", "unknown"),
        "base model": config.name,
        "revision": module.language_model.revision or "none",
        "normalization": module.hparams["normalization"],
        "inverse temperature beta": f"{float(module.agent.beta):.4f}",
        "discount gamma": module.gamma,
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    return (
        f"---\nlibrary_name: {'peft' if adapted else 'transformers'}\ntags: [reinforcement-learning, twosome]\n---\n\n"
        f"# TWOSOME agent for {environment}\n\nA language model aligned with an environment by PPO over the texts of "
        "its "
        f"valid actions (arXiv 2401.14151), trained with lightning_twosome.\n\n| | |\n|---|---|\n{table}\n\n"
        f"```python\n{_loading(module)}\n```\n\n"
        f"The policy is softmax(beta * log p(action | prompt) / count) with the counts of the normalisation above; "
        f"`{CRITIC_FILE}` holds the value head and log beta.\n"
    )


def _loading(module: TwosomePPO) -> str:
    """Python that loads the folder."""
    model: Any = module.agent.model
    if not isinstance(model, PeftModel):
        return (
            "from transformers import AutoModelForCausalLM\n\n"
            'model = AutoModelForCausalLM.from_pretrained("this folder")'
        )
    base = str(model.peft_config["default"].base_model_name_or_path)
    bundled = Path(base).parts[-2:] == bundled_path().parts[-2:]
    return (
        "from peft import PeftModel\nfrom transformers import AutoModelForCausalLM\n"
        + ("from lightning_twosome.language_model import bundled_path\n\n" if bundled else "\n")
        + f"base = AutoModelForCausalLM.from_pretrained({'bundled_path()' if bundled else repr(base)})\n"
        'model = PeftModel.from_pretrained(base, "this folder")'
    )
