"""The text encoder learns to read: what prompts say can soon be told from its pooled states."""

import numpy as np
import pytest
import torch

from training import diffusion, reading, recogniser, tokens
from training.scene import Figure, Scene


def test_classes_are_those_of_the_scenes():
    fox = Figure("fox", "ground", "right", near=True)
    scenes = [
        Scene("noon", "sea", "left", "rain", figures=(fox,)),
        Scene("night", "under water", "left", "clear"),
    ]
    truth = reading.truth_of(scenes)
    assert truth["time"].tolist() == [1, 4]
    assert truth["side"].tolist() == [0, reading.NO_DISC]
    at = recogniser.NAMES.index("fox")
    assert truth["subjects"].sum(1).tolist() == [1, 0]
    assert truth["subjects"][0, at] == 1
    nobody = reading.NOBODY
    assert truth["thirds"].tolist() == [[nobody, nobody, at], [nobody] * 3]


@pytest.mark.slow
def test_a_minute_teaches_the_time_of_day(tmp_path, capsys, monkeypatch):
    torch.manual_seed(0)
    monkeypatch.setattr(reading, "BATCH", 16)
    tokenizer = tokens.build(tmp_path, rich=True)
    text_encoder = diffusion.build_text_encoder(tokenizer)
    pooling = diffusion.build_unet(4, 128).add_embedding
    before = text_encoder.state_dict()["embeddings.token_embedding.weight"].clone()
    reading.teach(text_encoder, pooling, tokenizer, 0.8)
    assert not torch.equal(before, text_encoder.embeddings.token_embedding.weight)
    lines = capsys.readouterr().out.strip().splitlines()
    assert lines, "fewer than 100 steps in 0.8 minutes"
    right = int(lines[-1].partition("time ")[2].partition("%")[0])
    assert right > 30  # chance: 20, and the average has only begun to rise
    assert np.isfinite(float(lines[-1].partition("loss ")[2].split()[0]))
