"""Does the training data look poisoned? Detectors on a user's data and model, beside their false alarms."""
