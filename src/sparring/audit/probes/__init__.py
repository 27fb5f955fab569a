"""What the model is like, measured before any attack."""
