"""The model card of an exported agent: what it is, trained where and how, how well it does, and how it is loaded."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lightning_twosome.agent_folder import CRITIC_FILE, AgentSettings
from lightning_twosome.decisions import Decision
from lightning_twosome.evaluation import describe
from lightning_twosome.model_folder import bundled_path
from lightning_twosome.run_folder import data_state

CARD_FILE = "README.md"
PLACEHOLDER = "this folder"  # in the snippets; replaced by the repository's id when the folder is pushed
BUNDLED_LICENCE = "apache-2.0"


def model_card(
    settings: AgentSettings,
    base: tuple[str, str | None],
    adapter: bool,
    beta: float,
    method: str,
    checkpoint: Mapping[str, Any],
    example: Decision,
    run_dir: Path | None,
    licence: str | None = None,
) -> str:
    """The card as Markdown with the hub's front matter.

    Args:
        settings: Of the agent.
        base: Name and revision of the base model.
        adapter: The folder holds an adapter rather than a whole model.
        beta: Inverse temperature.
        method: What training did to the language model.
        checkpoint: What was exported: its hyper-parameters and the state of its data.
        example: A decision of the environment, for the snippet.
        run_dir: The run's folder, in which its results are; ``None`` where the checkpoint lies elsewhere.
        licence: The hub's identifier; by default the bundled model's where that is the base.
    """
    licence = licence or (BUNDLED_LICENCE if base[0] == "bundled" else None)
    state = data_state(dict(checkpoint))
    title = f"TWOSOME agent for {settings.environment}"
    parts = [
        _front_matter(base[0], adapter, settings.merged, licence),
        f"# {title}",
        f"A language model {method}, trained with lightning_twosome.",
        _table({**_facts(settings, base, beta, state), "licence": licence or "that of the base model, until stated"}),
        "## How well it does",
        _figures(run_dir, state.get("env_steps")),
        "## Use it",
        f"```python\n{_acting(example)}\n```",
        _language_model(base[0], adapter),
        f"The policy is softmax(beta * log p(action | prompt) / count), with the counts of the normalisation above; "
        f"`{CRITIC_FILE}` holds the value head and log beta.",
        "## How it was trained",
        f"```yaml\n{_config(checkpoint, state)}```",
    ]
    return "\n\n".join(parts) + "\n"


def _front_matter(base: str, adapter: bool, merged: bool, licence: str | None) -> str:
    """What the hub reads."""
    lines: dict[str, Any] = {
        "library_name": "peft" if adapter else "transformers",
        "pipeline_tag": "reinforcement-learning",
        "tags": ["reinforcement-learning", "twosome"],
    }
    if base.count("/") == 1 and not base.startswith((".", "/", "~")) and not Path(base).exists():
        relation = "adapter" if adapter else "merge" if merged else "finetune"
        lines |= {"base_model": base, "base_model_relation": relation}
    if licence is not None:
        lines["license"] = licence
    return f"---\n{yaml.safe_dump(lines, sort_keys=False)}---"


def _facts(
    settings: AgentSettings, base: tuple[str, str | None], beta: float, state: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "environment": settings.environment,
        **({"its arguments": settings.environment_kwargs} if settings.environment_kwargs else {}),
        "environment steps": state.get("env_steps", "unknown"),
        "seed": state.get("seed", "unknown"),
        "base model": base[0],
        "revision": base[1] or "none",
        "normalization": settings.policy["normalization"],
        "inverse temperature beta": f"{beta:.4f}",
        "discount gamma": settings.gamma,
    }


def _table(rows: Mapping[str, Any]) -> str:
    return "| | |\n|---|---|\n" + "\n".join(f"| {name} | {value} |" for name, value in rows.items())


# Figures


def _figures(run_dir: Path | None, env_steps: int | None) -> str:
    """What the run's own files say of this checkpoint, with the policies it is to be compared with."""
    rows = results_of_run(run_dir, env_steps) if run_dir is not None else {}
    if not rows:
        return "The run's folder holds no evaluation of this checkpoint."
    lines = [f"| {name} | {' | '.join(describe(values))} |" for name, values in rows.items()]
    return (
        "Sampled actions, mean [95 % bootstrap interval over episodes] of one run.\n\n"
        "| policy | discounted return | success |\n|---|---|---|\n" + "\n".join(lines)
    )


def results_of_run(run_dir: Path, env_steps: int | None) -> dict[str, dict[str, float]]:
    """Evaluations of the checkpoint at ``env_steps`` and of what stands beside it, by the name of the policy.

    They come from ``before_and_after.json`` and from the row of ``metrics.csv`` that belongs to the checkpoint.
    """
    rows: dict[str, dict[str, float]] = {}
    summary = run_dir / "before_and_after.json"
    content = json.loads(summary.read_text(encoding="utf-8")) if summary.is_file() else {}
    for key, name in (("uniform_random", "uniform random"), ("before", "before training")):
        if content.get(key):
            rows[name] = content[key]
    if content.get("env_steps") == env_steps and content.get("after"):
        rows["this agent"] = content["after"]
    elif evaluated := _evaluation_at(run_dir / "metrics.csv", env_steps):
        rows["this agent"] = evaluated
    return rows if "this agent" in rows else {}


def _evaluation_at(metrics: Path, env_steps: int | None) -> dict[str, float]:
    """The evaluation that ``metrics.csv`` has for a number of environment steps, empty where it has none."""
    if not metrics.is_file():
        return {}
    with metrics.open(newline="") as file:
        for row in csv.DictReader(file):
            if row.get("val/return") and row.get("step") and int(float(row["step"])) == env_steps:
                return {k[4:]: float(value) for k, value in row.items() if k.startswith("val/") and value}
    return {}


# Snippets


def _acting(example: Decision) -> str:
    offered = "\n".join(f"    {action!r}," for action in example.actions)
    return (
        "from lightning_twosome import TwosomeAgent\n\n"
        f'agent = TwosomeAgent.from_pretrained("{PLACEHOLDER}")\n'
        f"prompt = {example.prompt!r}\n"
        f"actions = [\n{offered}\n]\n"
        "action = agent.act(prompt, actions)  # index of the most probable action; greedy=False samples\n"
        "probabilities = agent.probabilities(prompt, actions)"
    )


def _language_model(base: str, adapter: bool) -> str:
    """How other libraries load the language model."""
    if not adapter:
        code = (
            "from transformers import AutoModelForCausalLM\n\n"
            f'model = AutoModelForCausalLM.from_pretrained("{PLACEHOLDER}")'
        )
    else:
        bundled = base == "bundled"
        code = (
            "from peft import PeftModel\nfrom transformers import AutoModelForCausalLM\n"
            + ("from lightning_twosome.language_model import bundled_path\n\n" if bundled else "\n")
            + f"base = AutoModelForCausalLM.from_pretrained({'bundled_path()' if bundled else repr(base)})\n"
            f'model = PeftModel.from_pretrained(base, "{PLACEHOLDER}")'
        )
    return f"The language model alone:\n\n```python\n{code}\n```"


def is_bundled(path: str) -> bool:
    """Whether a base model's path is that of the bundled model, on whatever machine."""
    return Path(path).parts[-2:] == bundled_path().parts[-2:]


def _config(checkpoint: Mapping[str, Any], state: Mapping[str, Any]) -> str:
    """Hyper-parameters of the module and sizes of the rollout."""
    model = {k: v for k, v in checkpoint.get("hyper_parameters", {}).items() if not k.startswith("_")}
    plain = json.loads(json.dumps({"model": model, "data": state.get("rollout", {})}, default=str))
    return yaml.safe_dump(plain, sort_keys=True, allow_unicode=True)
