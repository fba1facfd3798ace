"""Played episodes as text that a person can read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import BasePredictionWriter

from lightning_twosome.evaluation import PlayedEpisode, TranscriptStep


class TranscriptWriter(BasePredictionWriter):
    """Write the episodes that ``predict`` plays to Markdown: prompts, actions, probabilities, choices and rewards.

    Args:
        path: The file; relative paths are relative to the run folder.
        episodes: Most episodes written.
    """

    def __init__(self, path: str = "transcript.md", episodes: int = 10) -> None:
        super().__init__(write_interval="epoch")
        self.path = path
        self.episodes = episodes

    def write_on_epoch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        predictions: Sequence[Any],
        batch_indices: Sequence[Any] | None,
    ) -> None:
        """Write the transcript of the first process's episodes."""
        if not trainer.is_global_zero:
            return
        played = [episode for batch in predictions for episode in batch]
        path = Path(trainer.default_root_dir) / self.path
        path.parent.mkdir(parents=True, exist_ok=True)
        texts = [transcript(number, episode) for number, episode in enumerate(played[: self.episodes], start=1)]
        path.write_text("\n".join(texts), encoding="utf-8")
        print(f"{len(played)} episodes played; transcript of {len(texts)} in {path}")


def transcript(number: int, played: PlayedEpisode) -> str:
    """One episode as Markdown."""
    episode = played.episode
    success = {None: "", True: ", success", False: ", no success"}[episode.success]
    lines = [
        f"# Episode {number}",
        "",
        f"Return {episode.discounted_return:.3f} discounted, {episode.undiscounted_return:.3f} undiscounted; "
        f"{episode.length} decisions, {episode.duration} primitive steps{success}.",
        "",
    ]
    for index, step in enumerate(played.transcript, start=1):
        lines += _step(index, step)
    return "\n".join(lines)


def _step(index: int, step: TranscriptStep) -> list[str]:
    reward = sum(step.transition.step_rewards)
    lines = [f"**{index}.** {step.state.decision.prompt}", ""]
    for action, (text, probability) in enumerate(zip(step.state.decision.actions, step.probabilities, strict=True)):
        mark = "**>**" if action == step.action else "-"
        lines.append(f"  {mark} {probability:6.1%}  {text}  ")
    return [*lines, "", f"  reward {reward:+.3f}, {step.transition.duration} steps, value {step.value:.3f}", ""]
