"""The catalogue of known models, each pinned to a commit of its hub.

The commits and file sizes are from public records of each repository; no hub was reachable when
this was written. Figures of memory are estimates: no GPU was available. A pin
never moves by itself: another commit is another entry, or ``owner/name@commit``.
"""

from msgspec.structs import replace

from engine.models.card import Card, Defaults, Lora, Model, WeightSource

RAIL_LICENCE, RAIL_PLUS_LICENCE = "CreativeML Open RAIL-M", "CreativeML Open RAIL++-M"
SD15 = WeightSource(
    source="stable-diffusion-v1-5/stable-diffusion-v1-5",
    revision="451f4fe16113bff5a5d2269ed5ad43b0592e9a14",
)
SDXL = WeightSource(
    source="stabilityai/stable-diffusion-xl-base-1.0",
    revision="462165984030d82259a11f4367a4eed129e94a7b",
)
SDXL_VAE = WeightSource(  # SDXL's own overflows in float16
    source="madebyollin/sdxl-vae-fp16-fix",
    revision="207b116dae70ace3637169f1ddd2434b91b3a8cd",
)
HYPER_SD = Lora(
    source="ByteDance/Hyper-SD/Hyper-SD15-8steps-CFG-lora.safetensors",
    revision="bc08d970a87c74c71209491d64e3525845698863",
)
LCM_LORA = Lora(
    source="latent-consistency/lcm-lora-sdv1-5/pytorch_lora_weights.safetensors",
    revision="cf2fced511dbe7e26c8d1d397e728fbab875db4b",
)
LIGHTNING = Lora(
    source="ByteDance/SDXL-Lightning/sdxl_lightning_4step_lora.safetensors",
    revision="c9a24f48e1c025556787b0c58dd67a091ece2e44",
)
TINY_DECODERS = {  # by a VAE's scaling factor, which identifies the family
    0.18215: WeightSource(
        source="madebyollin/taesd", revision="614f76814bbe30edbe2e627ace1c2234c81a2c0e"
    ),
    0.13025: WeightSource(
        source="madebyollin/taesdxl", revision="b20258aaef75ef61e659c1e0f14f251cf0ad153e"
    ),
}

SD15_DEFAULTS = Defaults(scheduler="dpmsolver++karras")
SDXL_DEFAULTS = Defaults(width=1024, height=1024, guidance_scale=6.0, scheduler="dpmsolver++karras")
LCM_DEFAULTS = Defaults(num_inference_steps=6, guidance_scale=1.5, scheduler="lcm")
TRAILING_SPACING: dict[str, str | bool] = {"timestep_spacing": "trailing"}

SD15_MODEL = Model(
    name="stable-diffusion-1.5",
    source=SD15.source,
    revision=SD15.revision,
    card=Card(
        title="Stable Diffusion 1.5",
        description="The base that most styles were made for, at quality settings.",
        licence=RAIL_LICENCE,
        download=2_740_000_000,
        memory=3_500_000_000,
        anchor_attention=True,
        prompt_weights=True,
        work=201.0,  # counted by torch, on a network of this shape
        defaults=SD15_DEFAULTS,
    ),
)
SDXL_MODEL = Model(
    name="sdxl",
    source=SDXL.source,
    revision=SDXL.revision,
    vae=SDXL_VAE,
    card=Card(
        title="Stable Diffusion XL",
        description="Large pictures with much detail; slow on a small GPU.",
        licence=f"{RAIL_PLUS_LICENCE}; its VAE: MIT",
        download=7_110_000_000,
        memory=10_000_000_000,
        anchor_attention=True,
        prompt_weights=True,
        work=423.0,
        defaults=SDXL_DEFAULTS,
    ),
)

# The others state what is different in them.
MODELS = (
    SD15_MODEL,
    replace(
        SD15_MODEL,
        name="stable-diffusion-1.5-fast",
        loras=(HYPER_SD,),
        scheduler_config=TRAILING_SPACING,
        card=replace(
            SD15_MODEL.card,
            title="Stable Diffusion 1.5, fast",
            description="Eight steps in place of twenty-five, with Hyper-SD's LoRA. It keeps "
            "guidance and negative prompt, and without injected noise films stay calm: the choice "
            "for a small GPU.",
            licence=f"{RAIL_LICENCE}; the LoRA: LICENSE.md of ByteDance/Hyper-SD",
            download=3_010_000_000,
            defaults=Defaults(num_inference_steps=8, guidance_scale=5.0, scheduler="ddim"),
        ),
    ),
    replace(
        SD15_MODEL,
        name="stable-diffusion-1.5-lcm",
        loras=(LCM_LORA,),
        card=replace(
            SD15_MODEL.card,
            title="Stable Diffusion 1.5, LCM",
            description="Four to eight steps with the LCM-LoRA; guidance stays between 1 and 2.",
            licence=f"{RAIL_LICENCE}; the LoRA: {RAIL_PLUS_LICENCE}",
            download=2_880_000_000,
            defaults=LCM_DEFAULTS,
        ),
    ),
    SDXL_MODEL,
    replace(
        SDXL_MODEL,
        name="sdxl-lightning",
        loras=(LIGHTNING,),
        scheduler_config=TRAILING_SPACING,
        card=replace(
            SDXL_MODEL.card,
            title="SDXL-Lightning",
            description="SDXL in four steps, without guidance.",
            download=7_500_000_000,
            defaults=replace(
                SDXL_DEFAULTS, num_inference_steps=4, guidance_scale=1.0, scheduler="euler"
            ),
        ),
    ),
)
KNOWN = {model.name: model for model in MODELS}
