"""LightningModules: one per algorithm, on the same data module, environments and evaluation."""

from lightning_twosome.modules.behaviour_cloning import BehaviourCloning
from lightning_twosome.modules.on_policy import OnPolicyModule
from lightning_twosome.modules.saycan import SayCan
from lightning_twosome.modules.symbolic_ppo import SymbolicPPO
from lightning_twosome.modules.twosome_ppo import TwosomePPO
from lightning_twosome.modules.zero_shot import ZeroShot

__all__ = ["BehaviourCloning", "OnPolicyModule", "SayCan", "SymbolicPPO", "TwosomePPO", "ZeroShot"]
