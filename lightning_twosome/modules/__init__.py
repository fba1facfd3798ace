"""LightningModules: one per algorithm, on the same data module, environments and evaluation."""

from lightning_twosome.modules.on_policy import OnPolicyModule
from lightning_twosome.modules.symbolic_ppo import SymbolicPPO
from lightning_twosome.modules.twosome_ppo import TwosomePPO

__all__ = ["OnPolicyModule", "SymbolicPPO", "TwosomePPO"]
