"""Lightning callbacks of the package, installed as ``lightning_twosome.callbacks``."""

from .action_lengths import ActionLengths
from .before_and_after import BeforeAndAfter
from .cost_table import CostTable
from .environment_budget import EnvironmentBudget
from .episode_recorder import EpisodeRecorder
from .evaluation_report import EvaluationReport
from .forgetting_check import ForgettingCheck
from .learning_curve import LearningCurve
from .progress_bar import RolloutProgressBar
from .transcript import TranscriptWriter

__all__ = [
    "ActionLengths",
    "BeforeAndAfter",
    "CostTable",
    "EnvironmentBudget",
    "EpisodeRecorder",
    "EvaluationReport",
    "ForgettingCheck",
    "LearningCurve",
    "RolloutProgressBar",
    "TranscriptWriter",
]
