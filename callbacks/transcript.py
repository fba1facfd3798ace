"""Played episodes as text that a person can read."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import BasePredictionWriter

from lightning_twosome.evaluation import PlayedEpisode, TranscriptStep, describe, summarize


class TranscriptWriter(BasePredictionWriter):
    """Write the episodes that ``predict`` plays: prompts, actions, probabilities, choices and rewards.

    Markdown for people, and beside it under the same name JSON lines for programs, one a decision.

    Args:
        path: The Markdown file; relative paths are relative to the run folder.
        episodes: Most episodes with sampled actions that are written; greedy ones come after them.
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
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        played: dict[bool, list[PlayedEpisode]] = {False: [], True: []}
        for batch, episodes in zip(data.episode_batches(), predictions, strict=False):
            played[batch.greedy] += episodes
        path = Path(trainer.default_root_dir) / self.path
        write_transcript(path, self._introduction(played), self._shown(played))
        print(f"Played {len(played[False])} sampled and {len(played[True])} greedy; transcript in {path}")

    def _introduction(self, played: dict[bool, list[PlayedEpisode]]) -> list[str]:
        parts = []
        for greedy, name in ((False, "sampled actions"), (True, "the most probable actions")):
            if played[greedy]:
                discounted, success = describe(summarize([one.episode for one in played[greedy]]))
                parts.append(
                    f"- {_count(len(played[greedy]), 'episode')} with {name}: discounted return {discounted}"
                    + (f", success {success}" if success else "")
                )
        return parts

    def _shown(self, played: dict[bool, list[PlayedEpisode]]) -> list[tuple[str, PlayedEpisode]]:
        """Title and episode of what is written."""
        shown = [(f"Episode {i}", one) for i, one in enumerate(played[False][: self.episodes], start=1)]
        return shown + [(f"Greedy episode {i}", one) for i, one in enumerate(played[True][: self.episodes], start=1)]


def write_transcript(path: Path, introduction: Sequence[str], shown: Sequence[tuple[str, PlayedEpisode]]) -> None:
    """Write episodes with their titles as Markdown to ``path``, and as JSON lines beside it.

    Args:
        path: The Markdown file; its folder is made.
        introduction: Lines of Markdown before the episodes.
        shown: Title and episode of each.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "\n".join(["# Transcript", "", *introduction, "", *(transcript(title, one) for title, one in shown)])
    path.write_text(text, encoding="utf-8")
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for title, one in shown for row in transcript_rows(title, one)]
    path.with_suffix(".jsonl").write_text("".join(lines), encoding="utf-8")


def transcript_rows(title: str, played: PlayedEpisode) -> Iterable[dict[str, Any]]:
    """One episode as rows of primitives, one a decision; docs/callbacks.md says what each column is."""
    for number, step in enumerate(played.transcript, start=1):
        yield {
            "episode": title,
            "seed": played.episode.seed,
            "decision": number,
            "prompt": step.state.decision.prompt,
            "actions": list(step.state.decision.actions),
            "probabilities": step.probabilities,
            "action": step.action,
            "value": step.value,
            "rewards": list(step.transition.step_rewards),
            "duration": step.transition.duration,
            "terminated": step.transition.terminated,
            "truncated": step.transition.truncated,
            "success": step.transition.success,
        }


def transcript(title: str, played: PlayedEpisode) -> str:
    """One episode as Markdown."""
    episode = played.episode
    success = {None: "", True: ", success", False: ", no success"}[episode.success]
    lines = [
        f"## {title}: return {episode.discounted_return:.3f}{success}",
        "",
        f"{_count(episode.length, 'decision')}, {_count(episode.duration, 'primitive step')}, undiscounted return "
        f"{episode.undiscounted_return:.3f}.",
        "",
    ]
    for index, step in enumerate(played.transcript, start=1):
        lines += _step(index, step)
    return "\n".join(lines)


def _step(index: int, step: TranscriptStep) -> list[str]:
    """The prompt, the actions from the most to the least probable with an arrow at the choice, and what it brought."""
    reward = sum(step.transition.step_rewards)
    ranked = sorted(enumerate(step.probabilities), key=lambda pair: -pair[1])
    actions = [
        f"{'->' if action == step.action else '  '} {probability:6.1%}  {step.state.decision.actions[action]}"
        for action, probability in ranked
    ]
    return [
        *textwrap.wrap(f"**{index}.** {step.state.decision.prompt}", 100),
        "",
        "```text",
        *actions,
        "```",
        "",
        f"reward {reward:+.3f} in {_count(step.transition.duration, 'step')}, value {step.value:.3f}",
        "",
    ]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + "s" * (number != 1)
