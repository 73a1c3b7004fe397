"""The imperative shell: observe, decide, act."""
