"""Text worlds: a prompt, the actions that can be taken, and what they lead to (gymnasium environments)."""

from __future__ import annotations

from pathlib import Path

import gymnasium

HOUSEHOLD_TASKS = Path(__file__).parent / "household" / "tasks"


def register_environments() -> None:
    """Make every task of the package known to ``gymnasium.make``; a second call changes nothing.

    gymnasium's own wrappers are left out: the environments refuse a misplaced ``step`` themselves and count their
    horizon in primitive steps.
    """
    for task in ("TomatoSalad", "TomatoLettuceSalad"):
        environment_id = f"twosome/{task}-v0"
        if environment_id not in gymnasium.registry:
            gymnasium.register(
                id=environment_id,
                entry_point="lightning_twosome.envs.kitchen.env:KitchenEnv",
                kwargs={"task": task},
                order_enforce=False,
                disable_env_checker=True,
            )
    for task in sorted(path.stem for path in HOUSEHOLD_TASKS.glob("*.yaml")):
        environment_id = f"twosome/{task}-v0"
        if environment_id not in gymnasium.registry:
            gymnasium.register(
                id=environment_id,
                entry_point="lightning_twosome.envs.household.env:HouseholdEnv",
                kwargs={"task": task},
                order_enforce=False,
                disable_env_checker=True,
            )
    for level in (None, "GoToRedBall", "GoToLocal", "PickupLoc", "PutNextLocal", "OpenDoor"):
        environment_id = "twosome/BabyAI-v0" if level is None else f"twosome/BabyAI-{level}-v0"
        if environment_id not in gymnasium.registry:
            gymnasium.register(
                id=environment_id,
                entry_point="lightning_twosome.envs.babyai.env:BabyAIEnv",
                kwargs={} if level is None else {"level": level},
                order_enforce=False,
                disable_env_checker=True,
            )
    if "twosome/Overcooked-v0" not in gymnasium.registry:
        gymnasium.register(
            id="twosome/Overcooked-v0",
            entry_point="lightning_twosome.envs.overcooked.env:OvercookedEnv",
            order_enforce=False,
            disable_env_checker=True,
        )
    if "twosome/TextWorld-v0" not in gymnasium.registry:
        gymnasium.register(
            id="twosome/TextWorld-v0",
            entry_point="lightning_twosome.envs.textworld:TextWorldEnv",
            order_enforce=False,
            disable_env_checker=True,
        )
