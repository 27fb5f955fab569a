"""The nearest point that fools a small ReLU net, proven: mixed-integer programs and linear regions."""
