"""Tiny pipelines with random weights, in the layouts of the real ones, for fast tests."""

import json
import re
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    EulerDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from safetensors.torch import save_file
from torch import Tensor
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionConfig,
)

LENGTH = 16  # tokens of a prompt
START, END = "<|startoftext|>", "<|endoftext|>"
BETAS: dict[str, Any] = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
}


def save_tiny_pipeline(folder: Path, **unet: Any) -> Path:
    """Write a pipeline of Stable Diffusion 1.5's layout and return ``folder``.

    ``unet``: changes of its configuration, such as ``time_cond_proj_dim`` of distilled models.
    """
    torch.manual_seed(0)
    StableDiffusionPipeline(
        vae=_vae(0.18215),
        text_encoder=CLIPTextModel(_text_config()),
        tokenizer=_tokenizer(folder.parent / f"{folder.name}-vocabulary"),
        unet=_unet(**unet),
        scheduler=PNDMScheduler(**BETAS, skip_prk_steps=True, set_alpha_to_one=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder, safe_serialization=True)
    return folder


def save_checked_pipeline(folder: Path, threshold: float) -> Path:
    """Write a tiny pipeline whose safety checker hits what is liker its concept than a threshold.

    Likeness is a cosine: at -2 it hits every picture, at 2 none.
    """
    save_tiny_pipeline(folder)
    torch.manual_seed(1)
    vision = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=32,
        patch_size=8,
        projection_dim=16,
    )
    config = CLIPConfig(
        text_config=_text_config().to_dict(), vision_config=vision.to_dict(), projection_dim=16
    )
    checker = StableDiffusionSafetyChecker(config)
    torch.nn.init.normal_(checker.concept_embeds)
    checker.concept_embeds_weights.data.fill_(threshold)
    checker.special_care_embeds_weights.data.fill_(2.0)
    size = {"height": 32, "width": 32}
    extractor = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=size)
    pipe = StableDiffusionPipeline.from_pretrained(
        folder, safety_checker=checker, feature_extractor=extractor
    )
    pipe.save_pretrained(folder, safe_serialization=True)
    return folder


def save_tiny_xl(folder: Path, **unet: Any) -> Path:
    """Write a pipeline of SDXL's layout: two text encoders, pooled embeddings, time ids.

    ``unet``: changes of its configuration.
    """
    torch.manual_seed(0)
    tokenizer = _tokenizer(folder.parent / f"{folder.name}-vocabulary")
    StableDiffusionXLPipeline(
        vae=_vae(0.13025),
        text_encoder=CLIPTextModel(_text_config()),
        text_encoder_2=CLIPTextModelWithProjection(_text_config(hidden_size=48, projection_dim=48)),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=_unet(
            cross_attention_dim=32 + 48,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=48 + 6 * 8,
            transformer_layers_per_block=(1, 2),
            use_linear_projection=True,
            **unet,
        ),
        scheduler=EulerDiscreteScheduler(**BETAS),
        add_watermarker=False,
    ).save_pretrained(folder, safe_serialization=True)
    return folder


def let_the_vae_overflow(folder: Path) -> Path:
    """Change a pipeline's VAE so that it leaves float16's range inside, as SDXL's does.

    Encoder and decoder begin with values of a million, which their layers then normalise: in
    float32 pictures are as good as before.
    """
    vae = AutoencoderKL.from_pretrained(folder / "vae")
    with torch.no_grad():
        vae.encoder.conv_in.weight *= 1e5
        vae.post_quant_conv.weight *= 1e3
        vae.decoder.conv_in.weight *= 1e3
    vae.save_pretrained(folder / "vae", safe_serialization=True)
    return folder


def save_tiny_lora(file: Path, folder: Path) -> Path:
    """Write a LoRA for the UNet of a tiny pipeline, named as diffusers' training scripts do."""
    generator = torch.Generator().manual_seed(7)
    unet = UNet2DConditionModel.from_pretrained(folder / "unet")
    tensors = {}
    for name, layer in unet.named_modules():
        if re.search(r"attn\d\.to_[qkv]$", name):
            down = torch.randn(2, layer.in_features, generator=generator)
            up = torch.randn(layer.out_features, 2, generator=generator)
            tensors[f"unet.{name}.lora_A.weight"] = down
            tensors[f"unet.{name}.lora_B.weight"] = up
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, file)
    return file


def save_tiny_decoder(folder: Path) -> Path:
    """Write a tiny decoder in the layout of TAESD."""
    torch.manual_seed(0)
    AutoencoderTiny(
        encoder_block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        num_encoder_blocks=(1, 1, 1, 1),
        num_decoder_blocks=(1, 1, 1, 1),
    ).save_pretrained(folder, safe_serialization=True)
    return folder


def save_tiny_checkpoint(file: Path, folder: Path) -> Path:
    """Write a pipeline's weights as one file, named as in the original Stable Diffusion 1.x."""
    pipe = StableDiffusionPipeline.from_pretrained(folder)
    tensors: dict[str, Tensor] = {}
    for name, tensor in pipe.unet.state_dict().items():
        tensors[f"model.diffusion_model.{_original_unet(name)}"] = tensor
    for name, tensor in pipe.vae.state_dict().items():
        flat = "mid_block.attentions" in name and "to_" in name and tensor.dim() == 2
        tensors[f"first_stage_model.{_original_vae(name)}"] = (
            tensor[..., None, None] if flat else tensor
        )
    for name, tensor in pipe.text_encoder.state_dict().items():
        whole = name if name.startswith("text_model.") else f"text_model.{name}"
        tensors[f"cond_stage_model.transformer.{whole}"] = tensor
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, file)
    return file


LAYERS = 1  # of a block of the UNet below
RESNET = {
    "norm1.": "in_layers.0.",
    "conv1.": "in_layers.2.",
    "time_emb_proj.": "emb_layers.1.",
    "norm2.": "out_layers.0.",
    "conv2.": "out_layers.3.",
    "conv_shortcut.": "skip_connection.",
}
UNET = {
    "time_embedding.linear_1.": "time_embed.0.",
    "time_embedding.linear_2.": "time_embed.2.",
    "conv_in.": "input_blocks.0.0.",
    "conv_norm_out.": "out.0.",
    "conv_out.": "out.2.",
}


def _original_unet(name: str) -> str:
    """Return the name in the original checkpoint of a parameter of diffusers' UNet."""
    for ours, theirs in UNET.items():
        if name.startswith(ours):
            return name.replace(ours, theirs)
    parts = re.fullmatch(r"(down|mid|up)_blocks?\.?(\d*)\.(\w+)\.(\d+)\.(.*)", name)
    assert parts, name
    side, block, kind, layer, rest = parts.groups()
    if kind == "resnets":
        rest = next(
            theirs + rest[len(ours) :] for ours, theirs in RESNET.items() if rest.startswith(ours)
        )
    if side == "mid":
        return f"middle_block.{2 * int(layer) + (kind == 'attentions')}.{rest}"
    per_block = LAYERS + 1
    if kind == "downsamplers":
        return f"input_blocks.{(int(block) + 1) * per_block}.0.{rest.replace('conv.', 'op.')}"
    if kind == "upsamplers":
        place = int(block) * per_block + LAYERS
        has_attention = int(block) > 0  # the first way up has none here
        return f"output_blocks.{place}.{1 + has_attention}.{rest}"
    place = int(block) * per_block + int(layer)
    whole = f"input_blocks.{place + 1}" if side == "down" else f"output_blocks.{place}"
    return f"{whole}.{int(kind == 'attentions')}.{rest}"


def _original_vae(name: str) -> str:
    """Return the name in the original checkpoint of a parameter of diffusers' VAE."""
    name = name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
    name = re.sub(r"down_blocks\.(\d)\.resnets\.(\d)", r"down.\1.block.\2", name)
    name = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", name)
    name = re.sub(
        r"up_blocks\.(\d)\.resnets\.(\d)", lambda at: f"up.{3 - int(at[1])}.block.{at[2]}", name
    )
    name = re.sub(
        r"up_blocks\.(\d)\.upsamplers\.0", lambda at: f"up.{3 - int(at[1])}.upsample", name
    )
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda at: f"mid.block_{int(at[1]) + 1}", name)
    name = name.replace("mid_block.attentions.0", "mid.attn_1").replace("group_norm", "norm")
    for ours, theirs in (("to_q", "q"), ("to_k", "k"), ("to_v", "v"), ("to_out.0", "proj_out")):
        name = name.replace(f"attn_1.{ours}", f"attn_1.{theirs}")
    return name


def _unet(**changes: Any) -> UNet2DConditionModel:
    settings: dict[str, Any] = {
        "sample_size": 8,
        "in_channels": 4,
        "out_channels": 4,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "block_out_channels": (16, 32),
        "layers_per_block": LAYERS,
        "attention_head_dim": 8,
        "norm_num_groups": 8,
        "cross_attention_dim": 32,
    }
    return UNet2DConditionModel(**{**settings, **changes})


def _vae(scaling_factor: float) -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        norm_num_groups=4,
        latent_channels=4,
        sample_size=64,
        scaling_factor=scaling_factor,
    )


def _text_config(**changes: int) -> CLIPTextConfig:
    vocabulary = _vocabulary()
    settings = {
        "vocab_size": len(vocabulary),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": LENGTH,
        "bos_token_id": vocabulary[START],
        "eos_token_id": vocabulary[END],
        "pad_token_id": vocabulary[END],
    }
    return CLIPTextConfig(**{**settings, **changes})


def _vocabulary() -> dict[str, int]:
    """Return letters, letters that end a word, and the two marks."""
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), ",</w>", START, END]
    return {token: index for index, token in enumerate(tokens)}


def _tokenizer(folder: Path) -> CLIPTokenizer:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(_vocabulary()))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=LENGTH
    )
