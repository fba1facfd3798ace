"""``lightning-twosome play``: its arguments, looked at before the libraries that take seconds to import."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from lightning_twosome.errors import UserError
from lightning_twosome.trainer_settings import check_seed


def play_command(arguments: list[str], debug: bool = False) -> int:
    """Run ``lightning-twosome play``.

    Args:
        arguments: The command line without the subcommand.
        debug: Let the libraries say everything.

    Returns:
        The exit code, 0.
    """
    parser = ArgumentParser(
        prog="lightning-twosome play", description="Play an environment together with an agent.", exit_on_error=False
    )
    parser.add_function_arguments(play, skip={"debug"})
    options = parser.parse_args(arguments)
    options.pop("config", None)
    play(**options.as_dict(), debug=debug)
    return 0


def play(
    agent: str,
    env: str | dict[str, Any] | None = None,
    env_kwargs: dict[str, Any] | None = None,
    seed: int = 0,
    episodes: int = 1,
    sample: bool = False,
    device: str = "cpu",
    debug: bool = False,
) -> None:
    """Play episodes together with an agent.

    Args:
        agent: An exported folder, its hub id, a checkpoint, or a run's folder, of which the best checkpoint is taken.
        env: The environment, as in data.env; by default the one the agent was trained in.
        env_kwargs: Its arguments, as in data.env_kwargs.
        seed: Seed of the first episode; the next ones take the numbers after it.
        episodes: Episodes to play.
        sample: Let the agent's choice be sampled instead of the most probable action.
        device: Where the agent computes.
        debug: Let the libraries say everything.

    Raises:
        UserError: A number is out of range, or there is no such agent.
    """
    if episodes < 1:
        raise UserError(f"episodes is {episodes}; it must be at least 1.")
    check_seed("seed", seed)
    if not Path(agent).exists() and agent.count("/") != 1:  # no hub id either
        raise UserError(
            f"agent={agent!r} does not exist: name an exported folder, its hub id, a .ckpt file or a run's folder."
        )
    from lightning_twosome.command_line import speak
    from lightning_twosome.play import play_episodes

    speak(debug)
    play_episodes(agent, env, env_kwargs, range(seed, seed + episodes), sample, device)
