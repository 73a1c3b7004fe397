"""What a training script imports. No dependency."""
