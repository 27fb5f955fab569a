"""Audit a net of your own, from Python: wrap it, name the threat, state what is claimed.

python examples/own_model.py
"""

import torch
from torch import nn

import sparring as sp


def trained_net() -> nn.Module:
    """Any classifier will do; this one learns 4,000 digits in a few seconds, on normalised pixels."""
    x, y = sp.load_data("mnist5k", split="train").tensors()
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 10))
    adam = torch.optim.Adam(net.parameters(), 1e-3)
    for _ in range(10):
        for rows in torch.randperm(len(x)).split(100):
            adam.zero_grad()
            nn.functional.cross_entropy(net((x[rows] - 0.13) / 0.31), y[rows]).backward()
            adam.step()
    return net


def main() -> None:
    model = sp.wrap(trained_net(), mean=0.13, std=0.31, name="two layers")  # attacks see raw pixels in [0, 1]
    data = sp.load_data("mnist5k", n=100)
    report = sp.audit(model, data, sp.Threat("Linf", eps=0.1), suite="quick", claims=["fgsm:0.1=0.5"])
    print(report.verdict)


if __name__ == "__main__":
    main()
