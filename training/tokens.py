"""Makes the small tokenizer from the captions' own words.

Byte-level pairs, so any text has tokens: words of the world are one token each, others fall
into short pieces that training taught the model to pass over. Knows nothing about models.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from training import captions, prompts, words
from training.scene import random_scene, rich_scene

LENGTH = 48
PIECES = {False: 1400, True: 3000}  # of the shipped model's tokenizer, and of the rich world's
START, END = "<|startoftext|>", "<|endoftext|>"


def corpus() -> Iterator[str]:
    """Yield text in which each word of the world is frequent."""
    rng = np.random.default_rng(0)
    for _ in range(6000):
        scene = random_scene(rng)
        yield captions.caption(scene, rng)
        yield captions.held_out_caption(scene, rng)


def rich_corpus() -> Iterator[str]:
    """Yield text in which each word of the whole world is frequent."""
    rng = np.random.default_rng(0)
    for _ in range(6000):
        scene = rich_scene(rng)
        yield prompts.prompt(scene, rng).lower()
    for phrase in (*words.spoken(), *words.FILLER):
        yield from [phrase] * 30


def build(folder: Path, *, rich: bool = False) -> CLIPTokenizer:
    """Learn the pairs, save them in `folder` and return the tokenizer."""
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token=END))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trainer = trainers.BpeTrainer(
        vocab_size=PIECES[rich],
        min_frequency=20,
        end_of_word_suffix="</w>",
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    spaced = (
        word
        for text in (rich_corpus if rich else corpus)()
        for word in text.replace(",", " ").split()
    )
    tokenizer.train_from_iterator(spaced, trainer)
    learned = json.loads(tokenizer.to_str())["model"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = alphabet + [letter + "</w>" for letter in alphabet]
    merges = [tuple(pair) for pair in learned["merges"]]
    pieces += [first + second for first, second in merges]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys([*pieces, START, END]))}
    clip = CLIPTokenizer(
        vocab=vocabulary, merges=merges, unk_token=END, pad_token=END, model_max_length=LENGTH
    )
    clip.save_pretrained(folder)
    return clip


def load(folder: Path, *, rich: bool = False) -> CLIPTokenizer:
    """Return the tokenizer saved in `folder`; make it first if there is none."""
    exists = folder.exists()
    return CLIPTokenizer.from_pretrained(folder) if exists else build(folder, rich=rich)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make the tokenizer of the whole world.")
    parser.add_argument("folder", type=Path)
    load(parser.parse_args().folder, rich=True)
