"""Trials as Jobs of a cluster."""
