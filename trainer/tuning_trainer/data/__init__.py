"""Data sets: read, split, prepared and brought to the device.

A search sees `load_search`, whose rows hold no test row; the final evaluation sees `load_final`.
"""

from tuning_trainer.data.final import FinalData, TestRows, load_final
from tuning_trainer.data.preparation import Preparation
from tuning_trainer.data.problem import Problem, Task
from tuning_trainer.data.search import Fold, SearchData, load_search
from tuning_trainer.data.sources import Batch, Source
from tuning_trainer.data.splits import Split

__all__ = [
    "Batch",
    "FinalData",
    "Fold",
    "Preparation",
    "Problem",
    "SearchData",
    "Source",
    "Split",
    "Task",
    "TestRows",
    "load_final",
    "load_search",
]
