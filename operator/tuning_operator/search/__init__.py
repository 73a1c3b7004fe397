"""From a search space to the next parameters: samplers, seeds, the processes they run in."""
