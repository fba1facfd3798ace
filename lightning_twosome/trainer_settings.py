"""Numbers and names of the Trainer that Lightning itself takes without a word, or refuses only after long work."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from typing import Any

from lightning_twosome.errors import UserError

_LEAST = {"accumulate_grad_batches": 1, "check_val_every_n_epoch": 1, "num_nodes": 1, "gradient_clip_val": 0}
_STRATEGIES = ("auto", "ddp", "fsdp", "deepspeed")  # to begin with; the registry has their variants
LARGEST_SEED = 2**32 - 1
PROCESSES_A_CORE = 4


def check_trainer(settings: Mapping[str, Any]) -> None:
    """Check the Trainer's settings as parsed, before anything is made of them.

    Raises:
        UserError: A number is out of range, the strategy's name is unknown, or a machine would be swamped.
    """
    for name, least in _LEAST.items():
        value = settings.get(name)
        if isinstance(value, int | float) and value < least:
            raise UserError(f"trainer.{name} is {value}; it must be at least {least}.")
    _check_strategy(settings.get("strategy"))
    _check_processes(settings.get("accelerator"), settings.get("devices"))


def check_seed(key: str, seed: Any) -> None:
    """Check that numpy and torch take a seed.

    Args:
        key: Where it was given.
        seed: A number, or what stands for a drawn one.

    Raises:
        UserError: The number is out of range.
    """
    if isinstance(seed, int) and not isinstance(seed, bool) and not 0 <= seed <= LARGEST_SEED:
        raise UserError(f"{key} is {seed}; it must be between 0 and {LARGEST_SEED}.")


def check_processes(key: str, count: int) -> None:
    """Check that this machine can hold so many processes, each with a model of its own.

    Args:
        key: Where it was given.
        count: How many.

    Raises:
        UserError: They are many more than there are cores.
    """
    cores = os.cpu_count() or 1
    if count > PROCESSES_A_CORE * cores:
        raise UserError(
            f"{key} is {count}, which on CPU starts as many processes, and this machine has {cores} cores: name at "
            f"most {PROCESSES_A_CORE * cores}."
        )


def _check_strategy(strategy: Any) -> None:
    if not isinstance(strategy, str):
        return
    from lightning.pytorch.strategies import StrategyRegistry

    known = {"auto", *StrategyRegistry.available_strategies()}
    if strategy not in known:
        nearest = difflib.get_close_matches(strategy, known, n=1)
        way_out = f"did you mean {nearest[0]!r}?" if nearest else f"use one of {', '.join(_STRATEGIES)}."
        raise UserError(f"trainer.strategy is {strategy!r}, which is unknown; {way_out}")


def _check_processes(accelerator: Any, devices: Any) -> None:
    """On CPU a device is a process, and a large number of them takes all memory before it says anything."""
    import torch

    on_cpu = accelerator == "cpu" or (accelerator == "auto" and not torch.cuda.is_available())
    if on_cpu and str(devices).isdecimal():
        check_processes("trainer.devices", int(devices))
