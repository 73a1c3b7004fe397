"""The HTTP API that a running trial talks to."""
