"""ResNet-20 for small pictures: He et al. 2016, arXiv:1512.03385, section 4.2.

A 3 x 3 convolution, then three groups of three blocks with 16, 32 and 64 maps, the mean of each map, one linear layer.
A block is two 3 x 3 convolutions, each with batch norm, and a way past them. Where the maps shrink, the way past takes
every second pixel and fills the new maps with zeros (the paper's option A), so that it has no weights. Weights are
drawn as in the paper (arXiv:1502.01852). Batch norm follows the first convolution: no mean and std are needed before.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

WIDTHS, BLOCKS = (16, 32, 64), 3


class Block(nn.Module):
    """relu(x + norm(conv(relu(norm(conv(x)))))); [B, before, H, W] -> [B, after, H / stride, W / stride]."""

    def __init__(self, before: int, after: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after)
        self.conv2, self.norm2 = nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after)
        self.stride, self.zeros = stride, (after - before) // 2

    def forward(self, x: Tensor) -> Tensor:
        z = F.relu(self.norm1(self.conv1(x)))
        z = self.norm2(self.conv2(z))
        if self.stride > 1:
            x = F.avg_pool2d(x, 1, self.stride)  # windows of one pixel: every second one
        if self.zeros:
            x = F.pad(x, (0, 0, 0, 0, self.zeros, self.zeros))
        return F.relu(z + x)


def resnet20(in_channels: int = 1, num_classes: int = 10, size: int = 28) -> nn.Sequential:
    """ResNet-20 (arXiv:1512.03385): 269,434 parameters; on colour pictures 269,722, the paper's 0.27 million.

    It takes pictures of any size; `size` plays no part.
    """
    layers: list[nn.Module] = [
        nn.Conv2d(in_channels, WIDTHS[0], 3, 1, 1, bias=False),
        nn.BatchNorm2d(WIDTHS[0]),
        nn.ReLU(),
    ]
    before = WIDTHS[0]
    for after in WIDTHS:
        for _ in range(BLOCKS):
            layers.append(Block(before, after, 1 if after == before else 2))
            before = after
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, num_classes))
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    return net
