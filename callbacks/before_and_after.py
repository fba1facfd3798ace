"""What training did, in one table: return, success and language, before and after."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import lightning as L
from rich.console import Console
from rich.table import Table

from lightning_twosome.evaluation import describe, play_episodes, summarize, uniform_policy
from lightning_twosome.perplexity import held_out_texts, perplexity
from lightning_twosome.rollout import EVALUATION_STREAM, episode_seed
from lightning_twosome.tasks import best_possible_return


class BeforeAndAfter(L.Callback):
    """Play the same sampled episodes before and after training, and measure the perplexity of held-out text.

    Prints a table and writes it to ``before_and_after.json`` in the run folder. A uniform random policy and, where the
    environment knows it, the best possible return stand beside.

    Args:
        episodes: Episodes of each evaluation, with sampled actions.
        texts: Held-out documents whose perplexity is measured; 0 for none.
    """

    def __init__(self, episodes: int = 200, texts: int = 100) -> None:
        self.episodes = episodes
        self.texts = texts
        self.before: dict[str, Any] = {}
        self.seconds = 0.0
        self._start = time.perf_counter()

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Measure the untrained policy, unless the run goes on from a checkpoint that has it."""
        if not self.before:
            self.before = self._measure(trainer, pl_module)
        self._start = time.perf_counter()

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Measure the trained policy and say what has changed."""
        seconds = self._elapsed()
        after = self._measure(trainer, pl_module)
        if not trainer.is_global_zero:
            return
        result = {"before": self.before, "after": after, "seconds": seconds, **self._bounds(trainer, pl_module)}
        folder = Path(trainer.default_root_dir)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "before_and_after.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        Console().print(_table(result))
        print(f"Run folder: {folder}")

    def _measure(self, trainer: L.Trainer, module: Any) -> dict[str, Any]:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        with data.evaluation_env() as env, module.acting(), trainer.precision_plugin.forward_context():
            with module.ledger.phase("evaluation"):
                played = play_episodes(module, env, self._seeds(data), module.gamma)
                module.ledger.count_samples(sum(one.episode.length for one in played))
            result: dict[str, Any] = summarize([one.episode for one in played])
            if hasattr(module, "language_model"):
                result |= self._language(module)
        return result

    def _language(self, module: Any) -> dict[str, float]:
        measured = {"beta": float(module.agent.beta)}
        if self.texts:
            model, tokenizer = module.language_model.model, module.language_model.tokenizer
            measured["perplexity"] = perplexity(model, tokenizer, held_out_texts(self.texts))
        return measured

    def _seeds(self, data: Any) -> list[int]:
        return [episode_seed(data.seed, EVALUATION_STREAM, 2, number) for number in range(self.episodes)]

    def _bounds(self, trainer: L.Trainer, module: Any) -> dict[str, Any]:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        with data.evaluation_env() as env:
            played = play_episodes(uniform_policy(), env, self._seeds(data), module.gamma)
        return {
            "uniform_random": summarize([one.episode for one in played]),
            "optimum": best_possible_return(data.make_env(), module.gamma),
            "env_steps": data.env_steps,
        }

    def state_dict(self) -> dict[str, Any]:
        """The measurement before training, so that a resumed run need not repeat it."""
        return {"before": self.before, "seconds": self._elapsed()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the measurement before training up, and the time that training has taken."""
        self.before, self.seconds = state_dict["before"], state_dict["seconds"]

    def _elapsed(self) -> float:
        """Seconds of training, with those before the run was resumed."""
        return self.seconds + time.perf_counter() - self._start


def _table(result: dict[str, Any]) -> Table:
    steps, seconds = result["env_steps"], result["seconds"]
    table = Table(title=f"{steps} environment steps in {seconds:.0f} s; sampled episodes, mean [95 % interval]")
    for column in ("policy", "discounted return", "success", "perplexity"):
        table.add_column(column, no_wrap=True)
    for name, label in (("uniform_random", "uniform random"), ("before", "before"), ("after", "after")):
        values = result[name]
        table.add_row(label, *describe(values), f"{values['perplexity']:.3f}" if "perplexity" in values else "")
    if result["optimum"] is not None:
        table.add_row("optimum", f"{result['optimum']:.3f}")
    return table
