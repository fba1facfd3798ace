"""What Lightning iterates over: the minibatches of a fresh rollout, and batches of episodes to play."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lightning_twosome.samples import EpisodeBatch, Samples

if TYPE_CHECKING:
    from lightning_twosome.data import RolloutDataModule


class RolloutLoader:
    """Sized iterable over the minibatches of an iteration; each pass over it is a new rollout.

    Args:
        data: Owner of the environments and of everything that a checkpoint keeps.
    """

    def __init__(self, data: RolloutDataModule) -> None:
        self.data = data

    def __len__(self) -> int:
        return self.data.num_minibatches

    def __iter__(self) -> Iterator[Samples]:
        data = self.data
        trainer: Any = data.trainer
        data.batches_done = data.restore()
        trainer.lightning_module.before_minibatch()
        if data.samples is None or not (data.batches_done or trainer.overfit_batches):
            data.samples = data.collect()
            data.gather_state()
        assert data.samples is not None
        fixed = trainer.lightning_module.packing_matters
        for index in data.minibatches(data.iteration - 1, fixed)[data.batches_done :]:
            if data.batches_done:  # a rollout that is not begun upon is in no checkpoint
                trainer.lightning_module.before_minibatch()
            data.batches_done += 1
            yield data.samples.select(index)

    def state_dict(self) -> dict[str, Any]:
        """Empty, since the data module keeps the state; it tells Lightning that an epoch can go on in its middle."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing to take up, see :meth:`state_dict`."""


class EpisodeLoader:
    """Sized iterable over the batches of an evaluation; a plain list would be taken for several loaders.

    Args:
        batches: The batches, in order.
    """

    def __init__(self, batches: list[EpisodeBatch]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[EpisodeBatch]:
        return iter(self.batches)
