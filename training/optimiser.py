"""The optimiser of the painter: Muon for the matrices of the UNet, AdamW for everything else.

Knows weights by their shape and place; nothing of pictures or of the loss. Muon makes every
direction of a matrix's step equally long (https://kellerjordan.github.io/posts/muon/), at the size
that AdamW's steps have (arXiv:2502.16982, section 2.2), so one learning rate serves both. A
convolution's weights are a matrix too, with a row for each channel that it gives.
"""

from typing import Any

import torch
from torch import nn

from training import processes

WEIGHT_DECAY = 0.01
BETAS = 0.9, 0.99  # of AdamW
MOMENTUM = 0.95  # of Muon
TEXT_SHARE = 0.25  # of the learning rate: the text encoder can read already
OUTER = ("unet.conv_in", "unet.conv_out")  # Where latents come in and go out: not for Muon.


class Optimiser:
    """Steps all weights of a denoiser by the gradients that they have.

    Of several processes each makes its share of Muon's steps, and gets the others' results.
    """

    def __init__(self, models: nn.Module):
        self.weights, others, text = [], [], []
        for name, weight in models.named_parameters():
            if not name.startswith("unet."):
                text.append(weight)
            elif weight.ndim >= 2 and not name.startswith(OUTER):
                self.weights.append(weight)
            else:
                others.append(weight)
        self.matrices = [nn.Parameter(_matrix(weight.detach())) for weight in self.weights]
        self.shares = processes.shares(self.matrices, key=_work)
        self.muon = torch.optim.Muon(
            self.shares[processes.RANK],
            weight_decay=WEIGHT_DECAY,
            momentum=MOMENTUM,
            adjust_lr_fn="match_rms_adamw",
        )
        groups = [{"params": others, "share": 1.0}, {"params": text, "share": TEXT_SHARE}]
        self.adamw = torch.optim.AdamW(groups, betas=BETAS, weight_decay=WEIGHT_DECAY, fused=True)

    def step(self, rate: float) -> None:
        """Take one step at a learning rate."""
        for weight, matrix in zip(self.weights, self.matrices, strict=True):
            matrix.grad = _matrix(weight.grad)
        for optimiser in (self.muon, self.adamw):
            for group in optimiser.param_groups:
                group["lr"] = rate * group.get("share", 1.0)
            optimiser.step()
        processes.exchange(self.shares)

    def state_dict(self) -> dict[str, object]:
        """Return what going on needs; all processes have to call it."""
        momenta = processes.gathered(self.muon.state_dict())
        return {"muon": momenta, "adamw": self.adamw.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state; another number of processes begins with new momenta of Muon."""
        if len(state["muon"]) == processes.COUNT:
            self.muon.load_state_dict(state["muon"][processes.RANK])
        self.adamw.load_state_dict(state["adamw"])


def _work(matrix: torch.Tensor) -> int:
    """Return how much work a step of a matrix is, in proportion."""
    return matrix.numel() * min(matrix.shape)


def _matrix(weight: torch.Tensor) -> torch.Tensor:
    """Return weights as a matrix: of convolutions, `(out, in, 3, 3)`, as `(out, 9 in)`.

    It shares their memory, as they are stored with channels last.
    """
    return weight if weight.ndim == 2 else weight.permute(0, 2, 3, 1).flatten(1)
