"""One file per policy: a pure function from facts and the time to actions."""
