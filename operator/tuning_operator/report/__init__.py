"""A study told in one HTML file.

The file is made by a process of its own (`python -m tuning_operator.report`), because the main process imports
neither Optuna nor numpy. What stands here is the parent's side.
"""

from tuning_operator.report.launch import ReportFailed, write, write_of_trials

__all__ = ["ReportFailed", "write", "write_of_trials"]
