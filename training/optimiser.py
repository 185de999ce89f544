"""The optimiser of the painter: Muon for the matrices of the UNet, AdamW for everything else.

Knows weights by their shape and place; nothing of pictures or of the loss. Muon makes every
direction of a matrix's step equally long (https://kellerjordan.github.io/posts/muon/), at the size
that AdamW's steps have (arXiv:2502.16982, section 2.2), so one learning rate serves both. A
convolution's weights are a matrix too, with a row for each channel that it gives.
"""

import torch
from torch import nn

WEIGHT_DECAY = 0.01
BETAS = 0.9, 0.99  # of AdamW
MOMENTUM = 0.95  # of Muon
OUTER = ("unet.conv_in", "unet.conv_out")  # Where latents come in and go out: not for Muon.


class Optimiser:
    """Steps all weights of a denoiser by the gradients that they have."""

    def __init__(self, models: nn.Module):
        self.weights, others = [], []
        for name, weight in models.named_parameters():
            inner = name.startswith("unet.") and not name.startswith(OUTER)
            (self.weights if inner and weight.ndim >= 2 else others).append(weight)
        self.matrices = [nn.Parameter(_matrix(weight.detach())) for weight in self.weights]
        self.muon = torch.optim.Muon(
            self.matrices,
            weight_decay=WEIGHT_DECAY,
            momentum=MOMENTUM,
            adjust_lr_fn="match_rms_adamw",
        )
        self.adamw = torch.optim.AdamW(others, betas=BETAS, weight_decay=WEIGHT_DECAY, fused=True)

    def step(self, rate: float) -> None:
        """Take one step at a learning rate."""
        for weight, matrix in zip(self.weights, self.matrices, strict=True):
            matrix.grad = _matrix(weight.grad)
        for optimiser in (self.muon, self.adamw):
            for group in optimiser.param_groups:
                group["lr"] = rate
            optimiser.step()

    def state_dict(self) -> dict[str, object]:
        """Return what going on needs."""
        return {"muon": self.muon.state_dict(), "adamw": self.adamw.state_dict()}

    def load_state_dict(self, state: dict[str, dict[str, object]]) -> None:
        """Go on from a state."""
        self.muon.load_state_dict(state["muon"])
        self.adamw.load_state_dict(state["adamw"])


def _matrix(weight: torch.Tensor) -> torch.Tensor:
    """Return weights as a matrix: of convolutions, `(out, in, 3, 3)`, as `(out, 9 in)`.

    It shares their memory, as they are stored with channels last.
    """
    return weight if weight.ndim == 2 else weight.permute(0, 2, 3, 1).flatten(1)
