"""A trained agent by itself: prompt and actions in, a choice out, without Lightning.

::

    folder or hub id --from_pretrained--> TwosomeAgent
    prompt, actions  --act-->           index of the chosen action
                     --probabilities--> the policy's distribution [K]
    prompt           --value-->         the critic's estimate
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self, overload

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from lightning_twosome.agent import ActorCritic
from lightning_twosome.agent_folder import CRITIC_FILE, AgentSettings
from lightning_twosome.decisions import Decision
from lightning_twosome.errors import UserError
from lightning_twosome.language_model import LanguageModel, load_language_model
from lightning_twosome.lora import adapter_base, is_adapter, load_adapter
from lightning_twosome.model_folder import find_model_folder, first_sentence
from lightning_twosome.rollout import sample_actions
from lightning_twosome.vector_env import State

Texts = list[str] | tuple[str, ...]  # of a batch; a lone str is a sequence of str too


class TwosomeAgent:
    """Chooses actions as the trained policy does, with the numbers of the training module.

    It is also a :class:`~lightning_twosome.rollout.Policy`, so that
    :func:`~lightning_twosome.evaluation.play_episodes` plays with it.

    Args:
        actor_critic: Policy and value.
        settings: What it was trained with.
        folder: Where it was loaded from, for :meth:`push_to_hub`.
        seed: Seed of the sampling where :meth:`act` is given no generator; ``None`` for a fresh one.

    Attributes:
        generator: Draws the sampled actions.
    """

    def __init__(
        self, actor_critic: ActorCritic, settings: AgentSettings, folder: Path | None = None, seed: int | None = None
    ) -> None:
        self.actor_critic = actor_critic.eval()
        self.settings = settings
        self.folder = folder
        self.generator = np.random.default_rng(seed)

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        revision: str | None = None,
        base_model: str | None = None,
        base_revision: str | None = None,
        device: str | torch.device | None = None,
        dtype: str | torch.dtype | None = None,
        seed: int | None = None,
        **language_model: Any,
    ) -> Self:
        """Load what ``lightning-twosome export`` has written.

        Args:
            name: The folder, or the hub id it was pushed to.
            revision: Branch, tag or commit of a hub id.
            base_model: Folder or hub id of the base model, where it is no longer where the export says.
            base_revision: Its revision.
            device: "cpu" (the default), "cuda", "cuda:1", ...
            dtype: Of the trunk: "float32", "bfloat16", "float16" or "auto"; by default the one it was trained in.
            seed: Seed of sampled actions.
            **language_model: ``quantization`` and ``attn_implementation`` of
                :func:`~lightning_twosome.load_language_model`, where they are to differ from training.

        Raises:
            UserError: The folder is no exported agent, its base model is not found, or the device does not exist.
        """
        target = _device(device, language_model)
        if Path(name).is_file():
            raise UserError(
                f"agent {str(name)!r} is a file: name an exported folder, or use from_checkpoint for a .ckpt."
            )
        folder, _, commit = find_model_folder(str(name), revision)
        settings = AgentSettings.load(folder)
        options = settings.language_model | language_model | ({} if dtype is None else {"dtype": dtype})
        with torch.random.fork_rng(devices=[]):  # fresh layers are drawn before the trained weights take their place
            loaded = _language_model(folder, str(name), commit, base_model, base_revision, options)
            actor_critic = _actor_critic(loaded, settings, folder)
        return cls(actor_critic.to(target), settings, folder, seed)

    @classmethod
    def from_checkpoint(
        cls, path: str | Path, device: str | torch.device | None = None, seed: int | None = None
    ) -> Self:
        """The policy of a training checkpoint, which needs Lightning and the base model by its name of then.

        Raises:
            UserError: The checkpoint is missing, or does not hold a language model's policy.
        """
        from lightning_twosome.export import module_of_checkpoint, settings_of

        target = _device(device, {})
        module = module_of_checkpoint(Path(path))
        return cls(module.agent.to(target), settings_of(module), seed=seed)

    # Acting

    @overload
    def act(
        self, prompt: str, actions: Sequence[str], greedy: bool = ..., generator: np.random.Generator | None = ...
    ) -> int: ...

    @overload
    def act(
        self,
        prompt: Texts,
        actions: Sequence[Sequence[str]],
        greedy: bool = ...,
        generator: np.random.Generator | None = ...,
    ) -> list[int]: ...

    def act(
        self, prompt: Any, actions: Any, greedy: bool = True, generator: np.random.Generator | None = None
    ) -> int | list[int]:
        """Choose an action, or one for each of a batch.

        Args:
            prompt: What the environment shows; a list of prompts for a batch, which is scored together.
            actions: The valid actions' texts; a list of such lists for a batch.
            greedy: Take the most probable action instead of sampling one.
            generator: Draws the sampled actions instead of the agent's own.

        Returns:
            The index of the chosen action in its list, or the batch's indices.
        """
        log_probs = self._log_probs(prompt, actions)
        if greedy:
            chosen = log_probs.argmax(-1).tolist()
        else:
            chosen = sample_actions(log_probs, (generator or self.generator).random(len(log_probs)))
        return chosen[0] if isinstance(prompt, str) else chosen

    def probabilities(self, prompt: str | Texts, actions: Sequence[Any]) -> Tensor:
        """Probability of each action: float32 [K], or [B, K] for a batch, 0 where a row has fewer actions."""
        probabilities = self._log_probs(prompt, actions).exp()
        return probabilities[0] if isinstance(prompt, str) else probabilities

    @property
    def has_values(self) -> bool:
        """Whether :meth:`value` can be computed: not after merging, where the critic reads the frozen model."""
        return not (self.settings.merged and self.settings.policy["critic"] == "frozen")

    @overload
    def value(self, prompt: str) -> float: ...

    @overload
    def value(self, prompt: Texts) -> Tensor: ...

    def value(self, prompt: str | Texts) -> float | Tensor:
        """The discounted return that the critic expects from here on: a float, or float32 [B] for a batch.

        Raises:
            UserError: The agent was merged, and its critic reads the model without adapter.
        """
        if not self.has_values:
            raise UserError(
                "The critic of this agent reads the model without its adapter, which a merged export no longer holds: "
                "export the checkpoint without --merge to get values."
            )
        single = isinstance(prompt, str)
        with torch.no_grad():
            values = self.actor_critic.values([prompt] if isinstance(prompt, str) else list(prompt)).float().cpu()
        return float(values) if single else values

    def _log_probs(self, prompt: Any, actions: Any) -> Tensor:
        decisions = [_decision(prompt, actions)] if isinstance(prompt, str) else _batch(prompt, actions)
        with torch.no_grad():
            return self.actor_critic.action_log_probs(decisions).float().cpu()

    # As a Policy

    def action_log_probs(self, states: Sequence[State]) -> Tensor:
        """Log-probability of every offered action [B, K], ``-inf`` in padding."""
        return self._log_probs([s.decision.prompt for s in states], [s.decision.actions for s in states])

    def state_values(self, states: Sequence[State]) -> Tensor:
        """Value of every state [B]."""
        return self.value([state.decision.prompt for state in states])

    # Sharing

    def push_to_hub(self, repo_id: str, private: bool = True, token: str | None = None) -> str:
        """Upload the folder it was loaded from.

        Args:
            repo_id: ``owner/name`` on the hub; made where it does not exist.
            private: Whether a new repository is private.
            token: Of an account that may write there; by default the one of ``hf auth login``.

        Returns:
            The address of the commit.

        Raises:
            UserError: It was not loaded from a folder, or the hub refuses.
        """
        from lightning_twosome.hub import push_folder

        if self.folder is None:
            raise UserError("This agent was not loaded from an exported folder: export its checkpoint first.")
        return push_folder(self.folder, repo_id, private=private, token=token)


def _decision(prompt: str, actions: Sequence[str]) -> Decision:
    if not isinstance(actions, Sequence) or isinstance(actions, str) or not actions:
        raise UserError(f"actions={actions!r} offers no choice: give a list of texts, one for each action.")
    other = next((action for action in actions if not isinstance(action, str)), None)
    if other is not None:
        raise UserError(f"The action {other!r} is a {type(other).__name__}: one prompt takes one list of texts (str).")
    return Decision(prompt, tuple(actions))


def _batch(prompts: Sequence[str], actions: Sequence[Sequence[str]]) -> list[Decision]:
    if not isinstance(prompts, Sequence) or not isinstance(actions, Sequence) or not prompts:
        raise UserError(f"prompt={prompts!r} is no text and no list of texts: give one prompt, or a batch of them.")
    if len(prompts) != len(actions):
        raise UserError(f"{len(prompts)} prompts came with {len(actions)} lists of actions: give one list a prompt.")
    return [_decision(prompt, offered) for prompt, offered in zip(prompts, actions, strict=True)]


def _device(device: str | torch.device | None, language_model: dict[str, Any]) -> torch.device:
    """The device, checked before anything is loaded; a quantized trunk lives on a GPU."""
    if device is None:
        return torch.device("cuda" if language_model.get("quantization") else "cpu")
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(f"device={str(device)!r} cannot be used here: choose 'cpu', or a GPU that is there.") from error
    return found


def _language_model(
    folder: Path,
    name: str,
    revision: str | None,
    base_model: str | None,
    base_revision: str | None,
    options: dict[str, Any],
) -> LanguageModel:
    if not is_adapter(folder):
        if base_model is not None:
            raise UserError(f"agent {name!r} is a whole model and needs no base_model: leave it out.")
        return load_language_model(str(folder), **options)
    stated, stated_revision = adapter_base(folder, None)
    try:
        base = (
            load_language_model(stated, revision=stated_revision, **options)
            if base_model is None
            else load_language_model(base_model, revision=base_revision, **options)
        )
    except UserError as error:
        hint = "" if base_model else "; base_model= names the base model where it is elsewhere"
        cause = str(error).rstrip(".")
        raise UserError(f"The base model of agent {name!r} cannot be loaded: {cause}{hint}.") from error
    return LanguageModel(load_adapter(base.model, folder).eval(), base.tokenizer, name, revision)


def _actor_critic(language_model: LanguageModel, settings: AgentSettings, folder: Path) -> ActorCritic:
    # A merged model has no adapter to switch off: TwosomeAgent.value refuses what would read it as if it had.
    reads = {"critic": "adapted"} if settings.merged else {}
    actor_critic = ActorCritic(language_model, **(settings.policy | reads))
    try:
        tensors = load_file(folder / CRITIC_FILE)
        with torch.no_grad():
            actor_critic.log_beta.copy_(tensors.pop("log_beta"))
        actor_critic.critic.load_state_dict(tensors)
    except (OSError, KeyError, RuntimeError, SafetensorError) as error:
        raise UserError(
            f"{str(folder / CRITIC_FILE)!r} is missing, damaged or of another size than the agent's settings "
            f"({first_sentence(error)}): export the checkpoint again."
        ) from error
    return actor_critic
