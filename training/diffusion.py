"""Builds the UNet, the text encoder and the scheduler; nothing here trains or samples."""

import torch
from diffusers import DPMSolverMultistepScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from training.tokens import LENGTH

WIDTH = 192


def build_unet(channels: int = 4, widest: int = 192) -> UNet2DConditionModel:
    """Return an untrained UNet that meets the text at its coarsest level and in its time embedding.

    `channels` are those of the latents, `widest` those of the coarsest level, in steps of 64.
    The second way, diffusers' "text" addition, pools the prompt and scales every block's
    channels with it: cheap, and what makes time of day and position be obeyed.
    """
    unet = UNet2DConditionModel(
        sample_size=32,
        in_channels=channels,
        out_channels=channels,
        layers_per_block=1,
        block_out_channels=(64, 128, widest),
        down_block_types=("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=(1, 2, widest // 64),  # Heads, in spite of the name: 64 channels each.
        norm_num_groups=16,
        resnet_time_scale_shift="scale_shift",
        addition_embed_type="text",
        addition_embed_type_num_heads=3,
    )
    unet.set_attn_processor(AttnProcessor())
    return unet


def build_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """Return an untrained text transformer for a tokenizer."""
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=4 * WIDTH,
        projection_dim=WIDTH,
        num_hidden_layers=3,
        num_attention_heads=3,
        max_position_embeddings=LENGTH,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = CLIPTextModel(config)
    # CLIP's 0.02 drowned what one word alone says (left, right): words differ from the start.
    torch.nn.init.normal_(model.embeddings.token_embedding.weight, std=0.5)
    return model


def build_scheduler() -> DPMSolverMultistepScheduler:
    """Return the scheduler the model is trained and shipped with: DPM-Solver++ 2M.

    Its noise ends louder than Stable Diffusion's (beta 0.012), at a signal-to-noise ratio of
    4e-5: large even areas would else show through, and the prompt not decide the brightness.
    """
    return DPMSolverMultistepScheduler(
        num_train_timesteps=1000,
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.025,
        prediction_type="v_prediction",
        algorithm_type="dpmsolver++",
        solver_order=2,
        timestep_spacing="trailing",
        steps_offset=1,
    )


def token_ids(tokenizer: CLIPTokenizer, prompts: list[str]) -> torch.Tensor:
    """Return the prompts' tokens as the pipeline makes them, `(count, 48)`."""
    options = {"padding": "max_length", "truncation": True, "max_length": LENGTH}
    return tokenizer(prompts, return_tensors="pt", **options).input_ids
