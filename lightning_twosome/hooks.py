"""Hooks of this package's own, called on every callback that defines them, beside Lightning's.

Like Lightning's they take the trainer, the module and then what happened::

    def on_rollout_end(self, trainer, pl_module, rollout)    an iteration's experience, a Rollout
    def on_episode_end(self, trainer, pl_module, episode)    one training episode that ended in it, an Episode
    def on_policy_update(self, trainer, pl_module, stats)    the iteration's metrics by name, after its last step

docs/callbacks.md says when each is called and what may be done in it.
"""

from __future__ import annotations

from typing import Any


def call_hook(trainer: Any, name: str, happened: Any) -> None:
    """Call a hook on the trainer's callbacks that define it, in their order.

    Args:
        trainer: Lightning's Trainer.
        name: The hook's name.
        happened: What it is told.
    """
    for callback in trainer.callbacks:
        hook = getattr(callback, name, None)
        if callable(hook):
            with trainer.profiler.profile(f"[Callback]{type(callback).__qualname__}.{name}"):
                hook(trainer, trainer.lightning_module, happened)
