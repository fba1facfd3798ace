"""A policy on a language model: what is loaded, how it acts, and what a checkpoint keeps of it."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh

from lightning_twosome.agent import ActorCritic
from lightning_twosome.decisions import DecisionEncoder
from lightning_twosome.environment_failure import EnvironmentFailure
from lightning_twosome.errors import UserError
from lightning_twosome.language_model import LanguageModel, LanguageModelConfig, load_tokenizer
from lightning_twosome.lora import check_fields, is_adapter
from lightning_twosome.model_folder import find_model_folder
from lightning_twosome.modules.on_policy import OnPolicyModule
from lightning_twosome.policy_settings import refuse_contradictions
from lightning_twosome.scoring.sharding import data_parallel, is_sharded, shard
from lightning_twosome.stopping import Stopped
from lightning_twosome.trained_weights import check_weights, kept_names, kept_weights
from lightning_twosome.vector_env import State

logger = logging.getLogger(__name__)

AGENT_SETTINGS = (
    "normalization", "beta", "learn_beta", "critic", "critic_hidden", "scoring", "token_budget", "share_work",
    "frozen_layers", "cache_megabytes",
)  # fmt: skip


class LanguageModelPolicy(OnPolicyModule):
    """Base of the algorithms whose policy is a language model that scores the valid actions.

    A subclass calls :meth:`describe_language_model` when it is made, and has the hyper-parameters that
    :class:`~lightning_twosome.ActorCritic` takes, or some of them. The model is loaded only once the whole config has
    been found right.
    """

    language_model_config: LanguageModelConfig
    language_model: LanguageModel
    actor_critic: ActorCritic | None

    def describe_language_model(self, language_model: LanguageModelConfig | str) -> None:
        """Keep what is to be loaded, with the hyper-parameters, and check inverse temperature and critic.

        Args:
            language_model: A config, the same as a mapping, or a name.

        Raises:
            UserError: beta or a width of the critic is out of range.
        """
        self.language_model_config = LanguageModelConfig.of(language_model)
        self.save_hyperparameters({"language_model": asdict(self.language_model_config)})
        self.actor_critic = None
        self.strict_loading = False
        beta = self.hparams["beta"]
        if beta != "mean_count" and not (isinstance(beta, int | float) and 0 < beta < math.inf):
            raise UserError(f"model.beta is {beta!r}; it must be a positive number or 'mean_count'.")
        self.check_widths("critic_hidden")

    def configure_model(self) -> None:
        """Load the language model, put the critic on it, and spread it over processes where a strategy wants that."""
        if self.actor_critic is None:
            self._load()
        if self.device_mesh is not None and not is_sharded(self.agent.model):
            self._shard(data_parallel(self.device_mesh))

    def _shard(self, mesh: DeviceMesh) -> None:
        if self.hparams.get("frozen_layers"):
            raise UserError(
                f"model.frozen_layers={self.hparams['frozen_layers']} skips layers that the other processes gather "
                "weights for: set it to 0 where ModelParallelStrategy spreads the weights, or use strategy ddp."
            )
        if self.hparams.get("critic") == "adapted":
            # Its backward pass through sharded layers, beside that of the scores, crashes in PyTorch 2.13.
            raise UserError(
                "model.critic='adapted' cannot be trained where ModelParallelStrategy spreads the weights: set it to "
                "'frozen', or use strategy ddp."
            )
        shard(self.agent.model, mesh)

    def _load(self) -> None:
        language_model = self.load_language_model()
        self.actor_critic = ActorCritic(language_model, **self.agent_settings())
        self.language_model = language_model
        self.ledger.watch_agent(self.agent)
        self.train()  # transformers gives models in evaluation mode, in which gradient checkpointing is silently off
        trainable = sum(parameter.numel() for parameter in self.agent.actor_parameters())
        critic = sum(parameter.numel() for parameter in self.agent.critic_parameters())
        total = sum(parameter.numel() for parameter in language_model.model.parameters())
        rank_zero_only(logger.info)(
            f"Language model {language_model.name}: {total:,} parameters, of which {trainable:,} are trained; critic "
            f"{critic:,}."
        )

    def agent_settings(self) -> dict[str, Any]:
        """Arguments of the actor-critic besides the language model."""
        return {name: self.hparams[name] for name in AGENT_SETTINGS if name in self.hparams}

    def load_language_model(self) -> LanguageModel:
        """The language model that was described."""
        return self.language_model_config.load()

    @property
    def agent(self) -> ActorCritic:
        """The actor-critic, which exists once :meth:`configure_model` has run."""
        if self.actor_critic is None:
            self.configure_model()
        assert self.actor_critic is not None
        return self.actor_critic

    def setup(self, stage: str) -> None:
        """Read what the environment shows; start beta at the actions' mean count, where it is asked for."""
        if self.actor_critic is None:
            self._check_texts()
        if self.agent.beta_from_counts:
            self.agent.initialize_beta([state.decision for state in self.data.example_states()])

    def _check_texts(self) -> None:
        """Read example states with the tokenizer alone, and the settings: mistakes show before weights are loaded."""
        config = self.language_model_config
        encoder = DecisionEncoder(*load_tokenizer(config.name, config.revision))
        check_fields(config.lora or {})
        settings = self.agent_settings()
        if {"critic", "share_work"} <= settings.keys():
            refuse_contradictions(
                settings["normalization"],
                settings["critic"],
                settings["scoring"],
                settings["share_work"],
                dropout=(config.lora or {}).get("lora_dropout", 0.0),
                trained_whole=config.lora is None
                and not is_adapter(find_model_folder(config.name, config.revision).path),
            )
        for state in self.data.example_states():
            for decision in (state.decision, state.restatement):
                if decision is not None:
                    encoder.encode(decision)

    # Acting

    @contextmanager
    def acting(self) -> Iterator[None]:
        """Without gradient and in evaluation mode, with sharded weights until all processes are done.

        An environment that fails in one process, or a signal to it, ends the run in all of them where they meet next.
        """
        failure: EnvironmentFailure | Stopped | None = None
        with super().acting(), self.agent.scorer.in_step.until_all_are_done():
            try:
                yield
            except (EnvironmentFailure, Stopped) as error:
                failure = error
        if failure is not None:
            raise failure

    def action_log_probs(self, states: Sequence[State]) -> Tensor:
        """Log-probability of every offered action [B, K], ``-inf`` in padding, without gradient."""
        decisions = [state.decision for state in states]
        self.ledger.asked_for_scores(decisions)
        return self.agent.remembered_log_probs(decisions)

    def state_values(self, states: Sequence[State]) -> Tensor:
        """Value of every state [B], without gradient."""
        prompts = [state.decision.prompt for state in states]
        self.ledger.asked_for_values(prompts)
        with torch.no_grad():
            return self.agent.values(prompts)

    # Learning

    def forget(self) -> None:
        """Drop the remembered log-probabilities."""
        self.agent.forget()

    def actor_parameters(self) -> list[nn.Parameter]:
        """Trainable weights of the policy: the adapter's (or the model's) and, if it is learned, beta."""
        return self.agent.actor_parameters()

    def critic_parameters(self) -> list[nn.Parameter]:
        """Weights of the value head."""
        return self.agent.critic_parameters()

    # Checkpoints

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what training changes: adapter, critic, beta and the metrics' windows; the trunk is loaded by name."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["state_dict"] = kept_weights(self, checkpoint["state_dict"])

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Compare the checkpoint's weights with this model's before any is loaded.

        Raises:
            UserError: Weights are missing, left over or of another shape.
        """
        check_weights(self, checkpoint)
        self.agent.beta_from_counts = False
        super().on_load_checkpoint(checkpoint)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load a checkpoint's weights; the frozen ones, which it leaves out, do not count as missing.

        Lightning would name each of them in a warning.
        """
        result = super().load_state_dict(state_dict, strict=strict, assign=assign)
        result.missing_keys[:] = kept_names(self, result.missing_keys)
        return result
