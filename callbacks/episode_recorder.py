"""Episodes to look at: what the agent sees, weighs and does, as an animation and as a transcript."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from itertools import product
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.utilities.seed import isolate_rng

from lightning_twosome.callbacks.transcript import transcript, transcript_rows, write_transcript
from lightning_twosome.errors import UserError
from lightning_twosome.loggers import log_episode
from lightning_twosome.recording import RecordedEpisode, record_episodes
from lightning_twosome.recording_files import VideoFormat, check_format, write_animation, write_gif
from lightning_twosome.recording_frames import draw_episode
from lightning_twosome.rollout import EVALUATION_STREAM, episode_seed
from lightning_twosome.tasks import Task


class EpisodeRecorder(L.Callback):
    """Record episodes before training, every few iterations, at the end of training, and on ``test``.

    Each picture shows a decision: the environment's own frame where it offers ``rgb_array``, the prompt, the actions
    with their probabilities, the value and the return so far. Below ``folder`` in the run folder::

        step_000005120/sampled_1.gif  greedy_1.gif  transcript.md  transcript.jsonl
        test/                                                                              of each task, on test

    The episodes are the same ones each time, so that two recordings show what training has changed. TensorBoard gets
    the animation and the transcript, W&B the video and a table. Training goes on as if nothing had been recorded.

    Args:
        every_n_epochs: Iterations between two recordings.
        episodes: Episodes with sampled actions.
        greedy_episodes: Episodes with the most probable actions.
        video_format: "gif", or "mp4" where imageio-ffmpeg is installed (``pip install 'lightning-twosome[video]'``).
        seconds: How long a decision is shown.
        most_decisions: Decisions of an episode that are drawn; the transcript has them all.
        folder: Relative to the run folder.

    Raises:
        UserError: An argument is out of range, or the format cannot be written here.
    """

    def __init__(
        self,
        every_n_epochs: int = 20,
        episodes: int = 1,
        greedy_episodes: int = 1,
        video_format: VideoFormat = "gif",
        seconds: float = 1.5,
        most_decisions: int = 20,
        folder: str = "episodes",
    ) -> None:
        for name, value in (("every_n_epochs", every_n_epochs), ("most_decisions", most_decisions)):
            if value < 1:
                raise UserError(f"EpisodeRecorder.{name} is {value}; it must be at least 1.")
        if min(episodes, greedy_episodes) < 0 or seconds <= 0:
            raise UserError("EpisodeRecorder needs seconds above 0, and episodes and greedy_episodes of at least 0.")
        check_format(video_format)
        self.every_n_epochs = every_n_epochs
        self.counts = {False: episodes, True: greedy_episodes}
        self.video_format: VideoFormat = video_format
        self.seconds = seconds
        self.most_decisions = most_decisions
        self.folder = folder
        self._recorded = -1

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Record the untrained policy, unless the run goes on from a checkpoint."""
        if not _env_steps(trainer):
            self._record_step(trainer, pl_module)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Record every few iterations."""
        if (trainer.current_epoch + 1) % self.every_n_epochs == 0:
            self._record_step(trainer, pl_module)

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Record the trained policy, also of a run that was killed after its last iteration."""
        if self._recorded != _env_steps(trainer):
            self._record_step(trainer, pl_module)

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Record the policy that was tested, on each of the tasks it was tested on."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        several = len(data.test_tasks) > 1
        tasks = {f"{_slug(task.label)}_" if several else "": [task] for task in data.test_tasks}
        self._record(trainer, pl_module, "test", "test", tasks)

    def _record_step(self, trainer: L.Trainer, module: Any) -> None:
        self._recorded = _env_steps(trainer)
        after = f"after {self._recorded:,} environment steps" if self._recorded else "before training"
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        self._record(trainer, module, f"step_{self._recorded:09}", after, {"": data.tasks})

    def _record(
        self, trainer: L.Trainer, module: Any, folder: str, when: str, tasks: Mapping[str, Sequence[Task]]
    ) -> None:
        """Play in every process, as sharded models need; draw and write in the first.

        Args:
            trainer: The trainer.
            module: The policy.
            folder: To write to.
            when: For people.
            tasks: What is played, by what the files' names begin with.
        """
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        recorded: list[tuple[str, RecordedEpisode]] = []
        with _contained(trainer, module):
            for (prefix, played), (greedy, count) in product(tasks.items(), self.counts.items()):
                seeds = [episode_seed(data.seed, EVALUATION_STREAM, 3, number) for number in range(count)]
                made = record_episodes(module, played, seeds, module.gamma, greedy, self.most_decisions)
                kind = prefix + ("greedy" if greedy else "sampled")
                recorded += [(f"{kind}_{number}", one) for number, one in enumerate(made, start=1)]
        if not trainer.is_global_zero:
            return
        target = Path(trainer.default_root_dir) / self.folder / folder
        titles = [(_title(name), one.played) for name, one in recorded]
        write_transcript(target / "transcript.md", [f"Policy: {when}."], titles)
        for (name, one), (title, _) in zip(recorded, titles, strict=True):
            self._write(trainer, module, target / f"{name}.{self.video_format}", one, when, title)

    def _write(self, trainer: L.Trainer, module: Any, path: Path, one: RecordedEpisode, when: str, title: str) -> None:
        choice = "most probable actions" if one.greedy else "sampled actions"
        pictures = draw_episode(one, f"{when}, {choice}", module.gamma, self.most_decisions)
        write_animation(pictures, path, self.video_format, self.seconds)
        if trainer.loggers:
            gif = io.BytesIO(path.read_bytes() if self.video_format == "gif" else b"")
            if self.video_format != "gif":
                write_gif(pictures, gif, self.seconds)
            text, rows = transcript(title, one.played), list(transcript_rows(title, one.played))
            steps = _env_steps(trainer)
            log_episode(trainer.loggers, f"{self.folder}/{path.stem}", path, gif.getvalue(), text, rows, steps)

    def state_dict(self) -> dict[str, Any]:
        """Environment steps of the last recording."""
        return {"recorded": self._recorded}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it up."""
        self._recorded = state_dict["recorded"]


def _slug(label: str) -> str:
    return re.sub(r"\W+", "-", label).strip("-")


def _title(name: str) -> str:
    """``Salad-v0_greedy_1`` as "Salad-v0 greedy episode 1"."""
    kind, _, number = name.rpartition("_")
    words = f"{kind.replace('_', ' ')} episode {number}"
    return words[:1].upper() + words[1:]


@contextmanager
def _contained(trainer: L.Trainer, module: Any) -> Iterator[None]:
    """Act with the policy without leaving a trace: generators, remembered scores and features stay as they were."""
    agent: Any = getattr(module, "agent", None)
    remembering = agent.untouched() if hasattr(agent, "untouched") else nullcontext()
    with isolate_rng(), remembering, module.acting(), trainer.precision_plugin.forward_context():
        yield


def _env_steps(trainer: L.Trainer) -> int:
    data: Any = trainer.datamodule  # type: ignore[attr-defined]
    return int(data.env_steps)
