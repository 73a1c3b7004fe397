"""The trainer image: data, models, the optimisation loop."""
