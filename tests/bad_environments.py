"""Text environments with one mistake each, for the tests of what is said about them."""

from __future__ import annotations

import os
import sys
from typing import Any

from tests.toys import Corridor


class Bad(Corridor):
    """A corridor whose prompt, actions or information are changed from step ``when`` on; 0 is the reset.

    Args:
        prompt: Replaces the prompt.
        actions: Replace the actions.
        info: Is added to the information.
        when: First step to change.
    """

    def __init__(
        self, prompt: Any = None, actions: Any = None, info: dict[str, Any] | None = None, when: int = 0
    ) -> None:
        super().__init__(limit=4)
        self.prompt, self.actions, self.info, self.when = prompt, actions, info or {}, when
        self.steps = 0

    def reset(self, **options: Any) -> Any:
        self.steps = 0
        return self.changed(*super().reset(**options))

    def step(self, action: int) -> Any:
        self.steps += 1
        prompt, reward, terminated, truncated, info = super().step(action)
        prompt, info = self.changed(prompt, info)
        return prompt, reward, terminated, truncated, info

    def changed(self, prompt: Any, info: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        if self.steps < self.when:
            return prompt, info
        actions = {} if self.actions is None else {"actions": self.actions}
        return (prompt if self.prompt is None else self.prompt), info | actions | self.info


class Unmade(Corridor):
    """Raises when it is made."""

    def __init__(self) -> None:
        raise KeyError("kitchen.json")


class Raising(Corridor):
    """Raises in ``reset`` or ``step``: an error, or what ends a program.

    Args:
        where: "reset" or "step".
        how: "raise" for a KeyError, "exit" for ``sys.exit``, "end" for the end of the process.
    """

    def __init__(self, where: str, how: str = "raise") -> None:
        super().__init__()
        self.where, self.how = where, how

    def reset(self, **options: Any) -> Any:
        self.fail("reset")
        return super().reset(**options)

    def step(self, action: int) -> Any:
        self.fail("step")
        return super().step(action)

    def fail(self, place: str) -> None:
        if place != self.where:
            return
        if self.how == "raise":
            raise KeyError("bowl")
        if self.how == "exit":
            sys.exit("no licence")
        os._exit(3)


class OldStep(Corridor):
    """Returns four values from ``step``, as before gymnasium."""

    def step(self, action: int) -> Any:
        prompt, reward, terminated, truncated, info = super().step(action)
        return prompt, reward, terminated or truncated, info


class Rewarding(Corridor):
    """Gives a fixed reward."""

    def __init__(self, reward: Any) -> None:
        super().__init__()
        self.reward = reward

    def step(self, action: int) -> Any:
        prompt, _, terminated, truncated, info = super().step(action)
        info = {key: value for key, value in info.items() if key != "step_rewards"}
        return prompt, self.reward, terminated, truncated, info


class Unseeded(Corridor):
    """Draws its start from a generator that no seed reaches."""

    draws = 0

    def reset(self, **options: Any) -> Any:
        super().reset(**options)
        Unseeded.draws += 1
        self.place = Unseeded.draws % 5
        return self._prompt(), self._info()


class Unicode(Corridor):
    """Speaks in other scripts, with combining marks and signs outside of the basic plane."""

    words = {
        "walk left": "gehe zurück ←",
        "walk right": "前へ進む",
        "stride right": "иди быстро 🏃🏽",
        "wait": "e\u0301coute",
    }

    def _prompt(self) -> str:
        return f"Дверь №{self.place} из {self.length} 🚪 — ты стоишь. 你"

    def _info(self) -> dict[str, Any]:
        info = super()._info()
        self.plain = info["actions"]
        return info

    def reset(self, **options: Any) -> Any:
        prompt, info = super().reset(**options)
        return prompt, self.spoken(info)

    def step(self, action: int) -> Any:
        *most, info = super().step(action)
        return *most, self.spoken(info)

    def spoken(self, info: dict[str, Any]) -> dict[str, Any]:
        return info | {"actions": tuple(self.words[action] for action in info["actions"])}
