"""The painter's optimiser: which weights it gives to Muon, and that its steps are Muon's."""

import copy

import torch

from training import diffusion, tokens
from training.optimiser import Optimiser
from training.train import Denoiser


def denoiser(tmp_path):
    torch.manual_seed(0)
    tokens.build(tmp_path, rich=True)
    return Denoiser(diffusion.build_text_encoder(tokens.load(tmp_path, rich=True)), 12, rich=True)


def test_inner_matrices_of_the_unet_are_muons_and_share_their_memory(tmp_path):
    models = denoiser(tmp_path)
    optimiser = Optimiser(models)
    names = dict(models.named_parameters())
    mine = {id(weight) for weight in optimiser.weights}
    assert id(names["unet.mid_block.resnets.0.conv1.weight"]) in mine
    assert id(names["unet.conv_in.weight"]) not in mine
    assert not any(id(weight) in mine for weight in models.text_encoder.parameters())
    for weight, matrix in zip(optimiser.weights, optimiser.matrices, strict=True):
        assert matrix.data_ptr() == weight.data_ptr()
        assert matrix.shape == (weight.shape[0], weight[0].numel())


def test_a_step_of_a_convolution_is_as_long_in_every_direction(tmp_path):
    models = denoiser(tmp_path)
    optimiser = Optimiser(models)
    weight = models.unet.mid_block.resnets[0].conv1.weight
    before = weight.detach().clone()
    for each in models.parameters():
        each.grad = torch.randn_like(each)
    optimiser.step(1e-3)
    step = (weight.detach() - before).permute(0, 2, 3, 1).flatten(1)
    lengths = torch.linalg.svdvals(step)
    assert lengths.max() < 2.5 * lengths.min()  # Newton and Schulz come near, not to it.
    assert 0.1e-3 < step.square().mean().sqrt() < 0.3e-3  # as AdamW's: 0.2 of the rate


def test_it_goes_on_from_its_state(tmp_path):
    models = denoiser(tmp_path)
    optimiser = Optimiser(models)
    others = copy.deepcopy(models)
    for each in models.parameters():
        each.grad = torch.randn_like(each)
    optimiser.step(1e-3)
    others.load_state_dict(models.state_dict())
    resumed = Optimiser(others)
    resumed.load_state_dict(copy.deepcopy(optimiser.state_dict()))
    for mine, theirs in zip(models.parameters(), others.parameters(), strict=True):
        mine.grad = torch.randn_like(mine)
        theirs.grad = mine.grad.clone()
    before = [each.detach().clone() for each in models.parameters()]
    optimiser.step(1e-3)
    resumed.step(1e-3)
    for start, mine, theirs in zip(before, models.parameters(), others.parameters(), strict=True):
        assert (mine - theirs).norm() < 0.05 * (mine - start).norm()  # bfloat16's rounding
