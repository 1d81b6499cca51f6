"""What training costs on this machine: time, images a second and peak memory, over plain training.

Whole training steps are measured on random images that are there already: no photos are read or
augmented, nothing is validated. Steps of all settings are interleaved in one process, in an order
that is drawn anew for each round, so that whatever else the machine does hits all of them alike.
"""

from .measure import CostOptions, estimates, measure_cost
from .numbers import RunPlan
from .workload import Workload

__all__ = ["CostOptions", "RunPlan", "Workload", "estimates", "measure_cost"]
