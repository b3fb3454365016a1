"""The optimisation: noise Y0 follows the gradient of a score."""

from __future__ import annotations

from simopt.optimization.captured import captured_variance, half_capture, steps_to
from simopt.optimization.loop import Ascent
from simopt.optimization.run import optimize
from simopt.optimization.state import State, StopReason
from simopt.optimization.trajectory import Recorder, Trajectory

__all__ = [
    "Ascent",
    "Recorder",
    "State",
    "StopReason",
    "Trajectory",
    "captured_variance",
    "half_capture",
    "optimize",
    "steps_to",
]
