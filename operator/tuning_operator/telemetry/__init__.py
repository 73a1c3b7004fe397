"""What the operator says in figures."""
