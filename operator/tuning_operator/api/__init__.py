"""The contract: TuningStudy v1alpha1 as typed models. No I/O."""
