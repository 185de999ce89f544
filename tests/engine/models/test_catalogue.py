"""What an operator may name, what the catalogue says, and identities."""

import json
import shutil
from pathlib import Path

import msgspec
import pytest
from msgspec import structs

from engine import models
from engine.errors import InvalidParameterError, ModelLoadError
from engine.film.recipe_json import parse_recipe
from engine.models import KNOWN, Card, Lora, Model, WeightSource, catalogue
from engine.models.identity import Places, identity
from tests.stand_ins.vocabulary import WORLD

ROOT = Path(__file__).parents[3]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def offered(source: str) -> Model:
    *_, model = catalogue([source]).values()
    return model


# --- The catalogue ---


@pytest.mark.parametrize("model", KNOWN.values(), ids=lambda model: model.name)
def test_every_entry_is_pinned_and_describes_its_model(model: Model) -> None:
    parts = [model, *model.loras, *([model.vae] if model.vae else [])]
    assert all(len(part.revision) == 40 for part in parts)
    card = model.card
    assert card.licence
    assert card.download > 1e9
    assert card.memory > 1e9
    assert card.description


@pytest.mark.parametrize("model", KNOWN.values(), ids=lambda model: model.name)
def test_the_defaults_of_every_entry_make_a_recipe(model: Model) -> None:
    settings = {
        name: getattr(model.card.defaults, name)
        for name in ("width", "height", "num_inference_steps", "guidance_scale", "scheduler")
    }
    recipe = parse_recipe({"scenes": [{"prompt": "a sea"}], "model": model.name, **settings})
    assert recipe.model == model.name


@pytest.mark.parametrize("model", KNOWN.values(), ids=lambda model: model.name)
def test_the_documents_agree_with_the_catalogue(model: Model) -> None:
    lines = (ROOT / "docs" / "models.md").read_text().splitlines()
    row = next(line for line in lines if line.startswith(f"| `{model.name}` |"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    defaults, part = model.card.defaults, (model.loras or (model,))[0]
    assert part.revision[:7] in cells[1]
    assert cells[3] == f"{model.card.download / 1e9:.1f} GB"
    settings = (
        f"{defaults.num_inference_steps}, {defaults.guidance_scale:g}, `{defaults.scheduler}`"
    )
    assert cells[4] == settings + ", trailing steps" * bool(model.scheduler_config)
    assert cells[5] == f"{defaults.width}×{defaults.height}"
    assert cells[6] == f"{model.card.memory / 1e9:g} GB"


def test_the_models_that_were_asked_for_are_there() -> None:
    assert KNOWN["stable-diffusion-1.5"].card.defaults.scheduler == "dpmsolver++karras"
    fast = KNOWN["stable-diffusion-1.5-fast"]
    assert fast.card.defaults.num_inference_steps == 8
    assert fast.scheduler_config == {"timestep_spacing": "trailing"}
    assert KNOWN["stable-diffusion-1.5-lcm"].card.defaults.scheduler == "lcm"
    assert KNOWN["sdxl"].vae
    assert KNOWN["sdxl"].card.defaults.width == 1024
    assert KNOWN["sdxl-lightning"].loras


def test_models_whose_network_looks_closely_allow_anchor_attention(tmp_path: Path) -> None:
    assert all(model.card.anchor_attention for model in KNOWN.values())
    assert offered("someone/else").card.anchor_attention
    assert not catalogue()[models.OFFLINE].card.anchor_attention
    for side, blocks, fine in (
        (64, ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"], True),
        (128, ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"], True),
        (32, ["CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"], False),
        (64, ["UpBlock2D", "UpBlock2D"], False),
        (None, None, False),
    ):
        folder = tmp_path / "mine"
        (folder / "unet").mkdir(parents=True, exist_ok=True)
        (folder / "model_index.json").write_text("{}")
        about = {"sample_size": side, "up_block_types": blocks}
        (folder / "unet" / "config.json").write_text(json.dumps(about))
        (folder / "card.json").write_text('{"title": "Mine", "anchor_attention": true}')
        assert offered(str(folder)).card.anchor_attention == fine


def test_a_copy_of_the_offline_model_may_have_a_vocabulary(tmp_path: Path) -> None:
    folder = shutil.copytree(models.FOLDER / models.OFFLINE, tmp_path / "world")
    (folder / "card.json").unlink()
    plain = offered(str(folder))
    assert plain.card.vocabulary is None
    card = msgspec.to_builtins(structs.replace(plain.card, vocabulary=WORLD))
    (folder / "card.json").write_text(json.dumps(card))
    assert offered(str(folder)).card.vocabulary == WORLD
    assert identity(offered(str(folder)), Places(folder)) == identity(plain, Places(folder))
    card["vocabulary"]["attributes"][0]["values"] = ["sea"]
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(ModelLoadError, match=r"vocabulary\.attributes\[0\]\.values"):
        catalogue([str(folder)])


# --- What may be named ---


def test_an_entry_is_offered_by_its_name() -> None:
    assert list(catalogue(["sdxl"])) == [models.OFFLINE, "sdxl"]


def test_the_id_of_a_known_base_selects_its_card_and_its_pin() -> None:
    source = "stable-diffusion-v1-5/stable-diffusion-v1-5"
    model = offered(source)
    assert (model.name, model.card) == (source, KNOWN["stable-diffusion-1.5"].card)
    assert model.revision == KNOWN["stable-diffusion-1.5"].revision


def test_a_hub_id_may_name_its_commit() -> None:
    model = offered(f"someone/else@{COMMIT}")
    assert (model.repo, model.revision) == ("someone/else", COMMIT)
    assert offered("someone/else").revision == ""


def test_loras_follow_their_base() -> None:
    model = offered(f"sdxl+someone/style/ink.safetensors:0.6+other/one/a.b.safetensors@{COMMIT}")
    assert model.name == "sdxl+ink:0.6+a.b"
    first, second = model.loras
    assert (first.repo, first.file, first.weight) == ("someone/style", "ink.safetensors", 0.6)
    assert (second.file, second.revision, second.weight) == ("a.b.safetensors", COMMIT, 1.0)
    assert "ink" in model.card.title


def test_names_do_not_show_folders(tmp_path: Path) -> None:
    lora = tmp_path / "secret" / "ink.safetensors"
    lora.parent.mkdir()
    lora.write_bytes(b"")
    assert offered(f"sdxl+{lora}").name == "sdxl+ink"


def test_a_folder_that_is_called_like_a_hubs_model_does_not_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    known = KNOWN["stable-diffusion-1.5"]
    (tmp_path / known.source).mkdir(parents=True)
    assert known.path is None
    assert not known.here


def test_a_path_with_a_plus_is_a_path(tmp_path: Path) -> None:
    folder = tmp_path / "a+b"
    folder.mkdir()
    (folder / "model_index.json").write_text("{}")
    assert offered(str(folder)).name == "a+b"


@pytest.mark.parametrize(
    "source",
    [
        "nonsense",
        "a/b/c",
        "someone/else@main",
        "https://example.com/model",
        "sdxl+nonsense",
        "sdxl+someone/style",
        "someone/else/file.safetensors",
        "../../etc",
    ],
)
def test_what_is_neither_is_refused_with_a_remedy(source: str) -> None:
    with pytest.raises(ModelLoadError) as caught:
        catalogue([source])
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("index", "unet", "width", "steers"),
    [
        ({"_class_name": "StableDiffusionPipeline"}, {}, 512, "guides"),
        ({"_class_name": "StableDiffusionXLPipeline"}, {}, 1024, "guides"),
        ({"_class_name": "StableDiffusionPipeline"}, {"time_cond_proj_dim": 256}, 512, "ignored"),
    ],
)
def test_a_folder_without_a_card_is_guessed_from_its_configuration(
    tmp_path: Path, index: object, unet: object, width: int, steers: str
) -> None:
    (tmp_path / "unet").mkdir()
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    (tmp_path / "unet" / "config.json").write_text(json.dumps(unet))
    card = offered(str(tmp_path)).card
    assert (card.defaults.width, card.negative_prompt) == (width, steers)


# --- Checkpoints in one file ---


def write_head(file: Path, *names: str) -> Path:
    head = json.dumps(
        {name: {"dtype": "F16", "shape": [], "data_offsets": [0, 2]} for name in names}
    )
    file.write_bytes(len(head).to_bytes(8, "little") + head.encode() + b"\0\0")
    return file


@pytest.mark.parametrize(
    ("name", "base", "width"),
    [
        ("cond_stage_model.transformer.text_model.x", "stable-diffusion-1.5", 512),
        ("conditioner.embedders.1.model.x", "sdxl", 1024),
    ],
)
def test_the_family_of_a_checkpoint_is_recognised(
    tmp_path: Path, name: str, base: str, width: int
) -> None:
    model = offered(str(write_head(tmp_path / "one.safetensors", name)))
    assert (model.name, model.card.defaults.width) == ("one", width)
    assert model.configuration == WeightSource(
        source=KNOWN[base].source, revision=KNOWN[base].revision
    )


def test_a_folder_beside_a_checkpoint_is_its_configuration(tmp_path: Path) -> None:
    file = write_head(tmp_path / "one.safetensors", "cond_stage_model.transformer.x")
    (tmp_path / "one").mkdir()
    assert offered(str(file)).configuration == WeightSource(source=str(tmp_path / "one"))


@pytest.mark.parametrize("content", [b"", b"\x80\x04pickle", b"\xff" * 64, b"\2\0\0\0\0\0\0\0{}"])
def test_a_file_that_is_no_such_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "one.safetensors"
    file.write_bytes(content)
    with pytest.raises(ModelLoadError):
        catalogue([str(file)])


def test_a_pickle_is_refused_whatever_it_holds(tmp_path: Path) -> None:
    file = write_head(tmp_path / "one.ckpt", "cond_stage_model.transformer.x")
    with pytest.raises(ModelLoadError, match="safetensors") as caught:
        catalogue([str(file)])
    assert "can run code" in caught.value.remedy


# --- Identities ---


def test_a_plain_folder_keeps_the_identity_that_it_always_had(tmp_path: Path) -> None:
    """Films that were made before models had parts find their keyframes again."""
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "a.safetensors").write_bytes(b"x")
    (tmp_path / "model_index.json").write_bytes(b"{}")
    (tmp_path / "card.json").write_bytes(b"told to users, not painted")
    model = Model(name="m", source=str(tmp_path), card=Card(title="M"))
    assert identity(model, Places(tmp_path)) == "m@5d9245b05abaa1d9"


def test_everything_that_changes_pictures_changes_the_identity(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.safetensors").write_bytes(name.encode())
    one, two = tmp_path / "one", tmp_path / "two"
    file = one / "a.safetensors"
    model = Model(name="m", source="", card=Card(title="M"))
    lora, weak = Lora(source=str(file)), Lora(source=str(file), weight=0.5)
    spaced = structs.replace(model, scheduler_config={"timestep_spacing": "trailing"})
    identities = [
        identity(model, Places(one)),
        identity(model, Places(two)),
        identity(model, Places(file)),
        identity(model, Places(file, configuration=two)),
        identity(model, Places(one, vae=one)),
        identity(model, Places(one, vae=two)),
        identity(structs.replace(model, loras=(lora,)), Places(one, loras=(file,))),
        identity(structs.replace(model, loras=(weak,)), Places(one, loras=(file,))),
        identity(spaced, Places(one)),
    ]
    assert len(set(identities)) == len(identities)


# --- Names and kinds that people bring ---


def test_a_plus_and_a_short_weight_are_parts_of_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("ink+water.safetensors", "line.safetensors"):
        Path(name).write_bytes(b"")
    both = offered("sdxl+ink+water.safetensors:.7+line.safetensors")
    assert [(Path(lora.source).name, lora.weight) for lora in both.loras] == [
        ("ink+water.safetensors", 0.7),
        ("line.safetensors", 1.0),
    ]
    assert models.split_source("a+b+c") == ["a", "b", "c"]


def a_checkpoint(file: Path, tensors: dict[str, list[int]]) -> Path:
    header = {name: {"shape": shape} for name, shape in tensors.items()}
    text = json.dumps(header).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text)
    return file


def test_kinds_that_cannot_paint_films_are_called_by_their_names(tmp_path: Path) -> None:
    first, words = models.FIRST_LAYER, "cond_stage_model.transformer.text_model.x"
    nine = a_checkpoint(tmp_path / "nine.safetensors", {first: [320, 9, 3, 3], words: [1]})
    with pytest.raises(ModelLoadError, match="inpainting"):
        catalogue([str(nine)])
    plain = a_checkpoint(tmp_path / "plain.safetensors", {first: [320, 4, 3, 3], words: [1]})
    assert offered(str(plain)).name == "plain"
    second = a_checkpoint(
        tmp_path / "two.safetensors", {first: [320, 4, 3, 3], "cond_stage_model.model.x": [1]}
    )
    with pytest.raises(ModelLoadError, match="Stable Diffusion 2"):
        catalogue([str(second)])
    (tmp_path / "folder" / "unet").mkdir(parents=True)
    (tmp_path / "folder" / "model_index.json").write_text("{}")
    (tmp_path / "folder" / "unet" / "config.json").write_text('{"in_channels": 9}')
    with pytest.raises(ModelLoadError, match="inpainting"):
        catalogue([str(tmp_path / "folder")])


@pytest.mark.parametrize(
    "prompt", ["a fox <lora:ink:0.8>", "a fox, <LoRA:ink>", "a {red|grey} fox", "<hypernet:x:1>"]
)
def test_signs_for_other_programs_are_refused_and_never_painted(prompt: str) -> None:
    for recipe in (
        parse_recipe({"scenes": [{"prompt": "a"}, {"prompt": prompt}]}),
        parse_recipe({"scenes": [{"prompt": "a"}], "negative_prompt": prompt}),
        parse_recipe({"scenes": [{"prompt": "a"}], "retakes": [{"seconds": 0, "prompt": prompt}]}),
    ):
        with pytest.raises(InvalidParameterError, match="is not understood in a prompt") as raised:
            KNOWN["sdxl"].check(recipe)
        assert raised.value.remedy
    KNOWN["sdxl"].check(parse_recipe({"scenes": [{"prompt": "a <b> and {c}, d|e: 1 < 2"}]}))


@pytest.mark.parametrize("size", [(1344, 768), (832, 1216), (1536, 640), (2048, 512)])
def test_sdxl_paints_the_sizes_of_its_training_and_smaller_models_do_not(
    size: tuple[int, int],
) -> None:
    width, height = size
    recipe = parse_recipe({"scenes": [{"prompt": "a"}], "width": width, "height": height})
    KNOWN["sdxl"].check(recipe)
    for small in (KNOWN["stable-diffusion-1.5"], catalogue()[models.OFFLINE]):
        with pytest.raises(InvalidParameterError, match="too many for"):
            small.check(recipe)
