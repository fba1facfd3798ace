"""log p(action | prompt) for every action of every decision, exactly and in one pass per decision."""

from lightning_twosome.scoring.scorer import ActionScorer
from lightning_twosome.scoring.scores import ActionScores, normalize

__all__ = ["ActionScorer", "ActionScores", "normalize"]
