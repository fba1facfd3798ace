"""lightning_twosome: align a language model with an environment by reinforcement learning, in PyTorch Lightning.

The public names are imported on first use, so that ``import lightning_twosome`` registers the environments without
loading torch.
"""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_twosome.envs import register_environments

# Before torch is loaded: OpenMP's idle threads otherwise spin, and where other programs want the cores that made the
# quickstart more than ten times slower; passive waiting costs nothing on an idle machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if TYPE_CHECKING:
    from lightning_twosome.agent import ActorCritic
    from lightning_twosome.data import RolloutDataModule
    from lightning_twosome.decisions import Decision
    from lightning_twosome.envs.check import check_text_env
    from lightning_twosome.envs.text_wrapper import TextWrapper
    from lightning_twosome.language_model import load_language_model
    from lightning_twosome.modules import BehaviourCloning, SayCan, SymbolicPPO, TwosomePPO, ZeroShot
    from lightning_twosome.scoring import ActionScorer, ActionScores, normalize
    from lightning_twosome.twosome_agent import TwosomeAgent

__version__ = "0.1.0"

_HOME_OF_NAME = {
    "ActionScorer": "lightning_twosome.scoring",
    "ActionScores": "lightning_twosome.scoring",
    "ActorCritic": "lightning_twosome.agent",
    "BehaviourCloning": "lightning_twosome.modules",
    "Decision": "lightning_twosome.decisions",
    "RolloutDataModule": "lightning_twosome.data",
    "SayCan": "lightning_twosome.modules",
    "SymbolicPPO": "lightning_twosome.modules",
    "TextWrapper": "lightning_twosome.envs.text_wrapper",
    "TwosomeAgent": "lightning_twosome.twosome_agent",
    "TwosomePPO": "lightning_twosome.modules",
    "ZeroShot": "lightning_twosome.modules",
    "check_text_env": "lightning_twosome.envs.check",
    "load_language_model": "lightning_twosome.language_model",
    "normalize": "lightning_twosome.scoring",
}

__all__ = [
    "ActionScorer",
    "ActionScores",
    "ActorCritic",
    "BehaviourCloning",
    "Decision",
    "RolloutDataModule",
    "SayCan",
    "SymbolicPPO",
    "TextWrapper",
    "TwosomeAgent",
    "TwosomePPO",
    "ZeroShot",
    "check_text_env",
    "load_language_model",
    "normalize",
]

# In a checkout, callbacks/ and configs/ lie beside this package; installed, inside it. Looking in the checkout's root
# as well makes lightning_twosome.callbacks the one name of both, also where a checkout hides an installed package.
_ROOT = Path(__file__).resolve().parent.parent
if not Path(__file__).with_name("callbacks").is_dir() and (_ROOT / "callbacks" / "__init__.py").is_file():
    __path__.append(str(_ROOT))

register_environments()


def __getattr__(name: str) -> Any:
    if name in _HOME_OF_NAME:
        return getattr(import_module(_HOME_OF_NAME[name]), name)
    raise AttributeError(f"module 'lightning_twosome' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
