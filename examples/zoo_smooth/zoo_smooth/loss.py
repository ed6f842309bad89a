from torch import nn


class SmoothL1(nn.Module):
    def forward(self, logits, target):
        return 10 * nn.functional.smooth_l1_loss(logits.softmax(dim=1), target, beta=0.1)
