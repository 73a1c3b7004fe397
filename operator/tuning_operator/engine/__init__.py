"""The functional core: facts about a study in, actions out. No I/O, no clock, no optuna, no kubernetes."""
