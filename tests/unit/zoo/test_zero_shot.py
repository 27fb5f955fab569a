"""CLIP-like models as classifiers by prompts: the same logits as the library's own, gradients down to the pixels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import sparring as sp
from sparring.errors import InputError
from sparring.zoo.zero_shot import read_prompts

transformers = pytest.importorskip("transformers")

WORDS = ["<s>", "</s>", "a", "photo", "of", ".", "cat", "dog", "sock", "drawing"]
TOWER = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
PREPROCESSOR = {"do_normalize": True, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.5, 0.25, 0.2]}


def _towers(kind: str) -> Any:
    texts = {**TOWER, "vocab_size": len(WORDS), "max_position_embeddings": 12, "projection_dim": 8}
    texts |= {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    pictures = {**TOWER, "image_size": 32, "patch_size": 16, "projection_dim": 8}
    torch.manual_seed(0)
    if kind == "clip":
        return transformers.CLIPModel(
            transformers.CLIPConfig(text_config=texts, vision_config=pictures, projection_dim=8)
        )
    return transformers.SiglipModel(transformers.SiglipConfig(text_config=texts, vision_config=pictures))


def _tokenizer(kind: str) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="a"))
    words.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Punctuation()])
    words.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)])
    inputs = ["input_ids", "attention_mask"] if kind == "clip" else ["input_ids"]  # SigLIP reads the padding, too
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="</s>", eos_token="</s>", model_input_names=inputs
    )


@pytest.fixture(scope="module", params=["clip", "siglip"])
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model of pictures and texts as `save_pretrained` leaves it, with random weights."""
    folder: Path = tmp_path_factory.mktemp(request.param)
    _towers(request.param).save_pretrained(folder)
    _tokenizer(request.param).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(
        json.dumps({**PREPROCESSOR, "do_center_crop": True, "crop_size": {"height": 32, "width": 32}})
    )
    (folder / "classes.txt").write_text("cat\ndog\nsock\ta drawing of a sock\n")
    return folder


def test_it_answers_as_the_library_does_and_attacks_reach_the_pixels(saved: Path) -> None:
    model = sp.load_model(f"hf:{saved}#prompts={saved / 'classes.txt'}")
    assert model.classes == ("cat", "dog", "sock")
    assert model.input_size == (3, 32, 32)
    x = torch.rand(5, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    whole = transformers.AutoModel.from_pretrained(saved).eval()
    texts = ["a photo of a cat.", "a photo of a dog.", "a drawing of a sock"]
    tokenizer = transformers.AutoTokenizer.from_pretrained(saved)
    tokens = tokenizer(texts, padding="max_length", max_length=12, return_tensors="pt")
    keys = ("input_ids", "attention_mask") if whole.config.model_type == "clip" else ("input_ids",)
    mean, std = (torch.tensor(PREPROCESSOR[key]).view(3, 1, 1) for key in ("image_mean", "image_std"))
    with torch.no_grad():
        wanted = whole(pixel_values=(x - mean) / std, **{key: tokens[key] for key in keys}).logits_per_image
    torch.testing.assert_close(model.logits(x), wanted, rtol=1e-4, atol=1e-4)
    labels = wanted.argmax(1)
    result = sp.PGD(steps=5)(model, x, labels, sp.Threat("Linf", 0.1))
    assert result.clean_accuracy == 1.0
    assert (result.x_adv - x).abs().amax() == pytest.approx(0.1, abs=1e-4)


def test_without_prompts_it_is_no_classifier(saved: Path) -> None:
    with pytest.raises(InputError, match=r"no trained image classifier|does not load|cannot be fetched"):
        sp.load_model(f"hf:{saved}")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "0 different classes in 0 lines"),
        ("cat\n", "1 different"),
        ("cat\ncat\ta cat\n", "1 different classes in 2"),
    ],
)
def test_prompts_that_name_no_two_classes(tmp_path: Path, text: str, what: str) -> None:
    (tmp_path / "p.txt").write_text(text)
    with pytest.raises(InputError, match=what):
        read_prompts(tmp_path / "p.txt")


def test_a_spec_that_is_not_understood(saved: Path) -> None:
    with pytest.raises(InputError, match="after the # comes prompts=FILE"):
        sp.load_model(f"hf:{saved}#classes=x")
    with pytest.raises(InputError, match="cannot be read"):
        sp.load_model(f"hf:{saved}#prompts={saved / 'none.txt'}")
