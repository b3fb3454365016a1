"""Noise ceilings: the score of the noise-free responses against a noisy recording."""

from simopt.analysis.ceilings.ceiling import Ceiling
from simopt.analysis.ceilings.estimate import from_trials
from simopt.analysis.ceilings.snr import from_snr

__all__ = ["Ceiling", "from_snr", "from_trials"]
