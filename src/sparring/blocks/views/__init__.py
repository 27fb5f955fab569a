"""Views: what the model is shown instead of the point (copies, camera moves, flows), patches, and their measure."""
