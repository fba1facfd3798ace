"""Does the policy prefer short actions, or long ones? Probability by number of words and tokens."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor

from lightning_twosome.decisions import Decision
from lightning_twosome.errors import UserError
from lightning_twosome.evaluation import bootstrap_interval
from lightning_twosome.scoring import ActionScores, normalize
from lightning_twosome.scoring.scores import NORMALIZATIONS

COUNTS = ("words", "tokens")


class ActionLengths(L.Callback):
    """Measure how the probability of an action depends on its length, before and after training.

    The decisions are those that a uniform random policy meets, the same ones before and after and for every seed. An
    action's share is its probability times the number of actions offered: 1 is the share of a fair die, so that
    decisions with few and with many actions compare. Written to ``action_lengths.json`` in the run folder, for the
    policy and for what each normalisation would make of the same scores; `lightning-twosome report` draws it.

    Args:
        decisions: States that are visited; equal decisions count once.

    Raises:
        UserError: ``decisions`` is below 1.
    """

    def __init__(self, decisions: int = 256) -> None:
        if decisions < 1:
            raise UserError(f"ActionLengths.decisions is {decisions}; it must be at least 1.")
        self.decisions = decisions
        self.before: dict[str, Any] = {}
        self._asked: list[Decision] = []

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Measure the untrained policy, unless the run goes on from a checkpoint that has it."""
        if not hasattr(pl_module, "agent"):
            raise UserError(
                f"ActionLengths measures how a language model's policy depends on the actions' texts, and "
                f"{type(pl_module).__name__} reads none: leave the callback out."
            )
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        with isolate_rng():
            states = data.example_states(self.decisions)
        self._asked = list(dict.fromkeys(state.decision for state in states))
        if not self.before:
            self.before = self._measure(trainer, pl_module)

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Measure the trained policy and write both."""
        after = self._measure(trainer, pl_module)
        if not trainer.is_global_zero:
            return
        module: Any = pl_module
        result = {
            "normalization": module.agent.normalization,
            "decisions": len(self._asked),
            "actions": sum(len(decision.actions) for decision in self._asked),
            "before": self.before,
            "after": after,
        }
        folder = Path(trainer.default_root_dir)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "action_lengths.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")

    def _measure(self, trainer: L.Trainer, module: Any) -> dict[str, Any]:
        agent = module.agent
        with isolate_rng(), agent.untouched(), module.acting(), trainer.precision_plugin.forward_context():
            scores: ActionScores = agent.scorer.score(self._asked, trie=True)
        policies = {name: normalize(scores, name) for name in NORMALIZATIONS}
        beta = float(agent.beta)
        return {
            "beta": beta,
            "policy": shares_by_length(beta * policies[agent.normalization], scores),
            "normalizations": {name: shares_by_length(logits, scores) for name, logits in policies.items()},
        }

    def state_dict(self) -> dict[str, Any]:
        """The measurement before training, so that a resumed run need not repeat it."""
        return {"before": self.before}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it up."""
        self.before = state_dict["before"]


def shares_by_length(logits: Tensor, scores: ActionScores) -> dict[str, list[dict[str, float]]]:
    """Mean share of the actions of each length, with its interval over decisions.

    Args:
        logits: Of the policy [B, K], ``-inf`` in padding.
        scores: Counts of words and tokens [B, K], 0 in padding.

    Returns:
        For words and for tokens, by rising ``length``: ``decisions`` that offer such an action, ``share``, and the ends
        ``low`` and ``high`` of its 95 % percentile bootstrap interval over these decisions.
    """
    offered = scores.words > 0
    shares = torch.softmax(logits.double(), dim=-1) * offered.sum(dim=-1, keepdim=True)
    return {name: _rows(shares.tolist(), getattr(scores, name).tolist()) for name in COUNTS}


def _rows(shares: Sequence[Sequence[float]], lengths: Sequence[Sequence[int]]) -> list[dict[str, float]]:
    """A decision counts once for each length: its mean over the actions of that length."""
    found: dict[int, list[float]] = defaultdict(list)
    for row, counts in zip(shares, lengths, strict=True):
        for length in set(counts) - {0}:
            same = [share for share, count in zip(row, counts, strict=True) if count == length]
            found[length].append(sum(same) / len(same))
    rows = []
    for length, values in sorted(found.items()):
        low, high = bootstrap_interval(values)
        share = sum(values) / len(values)
        rows.append({"length": length, "decisions": len(values), "share": share, "low": low, "high": high})
    return rows
