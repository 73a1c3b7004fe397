"""The tuning operator: TuningStudy manifests in, an honest best model out."""
