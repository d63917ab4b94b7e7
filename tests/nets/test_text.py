"""The text encoders: the small one over whole words, and CLIP, which is transformers' own to the bit."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pixeldance.nets.text import CLIPConfig, CLIPEncoder, WordConfig, WordEncoder, build_text
from pixeldance.nets.words import words

VOCABULARY = ("a", "ball", "clockwise", "counter", "doesn't", "left", "moves", "red", "star", "to", "the")
WORDS = WordConfig(vocabulary=VOCABULARY, width=16, head_width=4)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("Counter-clockwise, it's 3!", ["counter", "clockwise", "it's", "3"]),
        ("It’s a 'quoted' x_y", ["it's", "a", "quoted", "x", "y"]),
        ("CAFÉ cafe\u0301 ｆｕｌｌ красный 红色的球", ["café", "café", "full", "красный", "红色的球"]),
    ],
)
def test_words(text: str, found: list[str]) -> None:
    assert words(text) == found


@pytest.fixture
def encoder() -> WordEncoder:
    torch.manual_seed(0)
    net = WordEncoder(WORDS).eval().requires_grad_(False)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return net


def test_unknown_words_are_named_in_order_and_once(encoder: WordEncoder) -> None:
    assert encoder.unknown("A zebra, the ball; a gnu (and a Zebra) moves 3 times") == [
        "zebra",
        "gnu",
        "and",
        "3",
        "times",
    ]
    assert encoder.unknown("A RED star doesn't move!") == ["move"]
    assert encoder.unknown("红色 star") == ["红色"]
    assert encoder.unknown("") == encoder.unknown("the red ball") == []


def test_case_and_punctuation_do_not_matter(encoder: WordEncoder) -> None:
    plain = encoder(["a star moves counter clockwise"])
    for same in ("A STAR moves counter-clockwise.", "  a star, moves\tcounter: clockwise?! "):
        for one, other in zip(plain, encoder([same]), strict=True):
            assert torch.equal(one, other)


def test_words_and_their_order_matter(encoder: WordEncoder) -> None:
    texts = ["the red star moves to a ball", "the red ball moves to a star", "a red star moves to the ball"]
    code = encoder(texts)
    assert code.tokens.shape == (3, 8, encoder.width)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not torch.allclose(code.vector[one], code.vector[other], atol=1e-3)


def test_an_empty_text_is_one_token_and_the_same_as_unknown_words(encoder: WordEncoder) -> None:
    empty, strange = encoder([""]), encoder(["zebra"])
    assert empty.tokens.shape == (1, 1, 16)
    assert empty.mask.tolist() == [[True]]
    assert torch.equal(empty.vector, strange.vector)
    assert torch.equal(empty.vector, empty.tokens[:, 0])


def test_a_text_does_not_depend_on_its_neighbours(encoder: WordEncoder) -> None:
    texts = ["", "a ball", "the red star moves to the left"]
    together = encoder(texts)
    assert together.mask.sum(dim=1).tolist() == [1, 3, 8]
    for row, text in enumerate(texts):
        alone = encoder([text])
        here = together.tokens[row, together.mask[row]]
        torch.testing.assert_close(here, alone.tokens[0], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(together.vector[row], alone.vector[0], atol=1e-5, rtol=1e-5)


def test_gradients_reach_every_parameter(encoder: WordEncoder) -> None:
    encoder.requires_grad_(True)
    text = " ".join(VOCABULARY)
    code = encoder([text])
    (code.tokens.square().mean() + code.vector.square().mean()).backward()
    assert [name for name, p in encoder.named_parameters() if p.grad is None or not bool(p.grad.any())] == []


# CLIP. A vocabulary of a few letters, as single tokens and as ends of words, and what the merges make of them.

LETTERS = "!abdelr"
TOKENS = (
    *LETTERS,
    *(f"{each}</w>" for each in LETTERS),
    "re",
    "red</w>",
    "ba",
    "ll</w>",
    "ball</w>",
    "<start>",
    "<end>",
)
MERGES = "#version: 0.2\nr e\nre d</w>\nb a\nl l</w>\nba ll</w>\n"
CLIP = CLIPConfig(width=8, layers=2, heads=2, feed_width=16, length=8, vocabulary_size=len(TOKENS))


@pytest.fixture
def clip(tmp_path: Path) -> CLIPEncoder:
    tokens = [each.replace("<start>", "<|startoftext|>").replace("<end>", "<|endoftext|>") for each in TOKENS]
    (tmp_path / "vocab.json").write_text(json.dumps({token: index for index, token in enumerate(tokens)}))
    (tmp_path / "merges.txt").write_text(MERGES)
    torch.manual_seed(0)
    net = CLIPEncoder(replace(CLIP, tokenizer=str(tmp_path)))
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return net


def ids(*rows: str) -> Tensor:
    return torch.tensor([[TOKENS.index(token) for token in row.split()] for row in rows])


def test_clip_is_transformers_own(clip: CLIPEncoder) -> None:
    import transformers

    theirs = transformers.CLIPTextModel(  # as Stable Diffusion 2.1 configures it: end mark 2 means the highest number
        transformers.CLIPTextConfig(
            vocab_size=len(TOKENS),
            hidden_size=8,
            intermediate_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=8,
            hidden_act="gelu",
            bos_token_id=0,
            eos_token_id=2,
            pad_token_id=1,
        )
    ).eval()
    getattr(theirs, "text_model", theirs).load_state_dict(clip.model.state_dict())
    code = clip(["A  RED\nball!", "", "red " * 20])
    with torch.no_grad():
        expected = theirs(
            ids(
                "<start> a</w> red</w> ball</w> !</w> <end> ! !",
                "<start> <end> ! ! ! ! ! !",
                "<start> red</w> red</w> red</w> red</w> red</w> red</w> <end>",
            )
        )
    assert torch.equal(code.tokens, expected.last_hidden_state)
    assert torch.equal(code.vector, expected.pooler_output)
    assert code.mask.shape == (3, 8)
    assert bool(code.mask.all())


def test_clip_reads_every_word_and_is_frozen(clip: CLIPEncoder) -> None:
    assert clip.width == 8
    assert clip.unknown("red zebra 红色") == []
    assert not any(parameter.requires_grad for parameter in clip.parameters())
    assert not clip(["red"]).tokens.requires_grad
    assert not clip.model.training


def test_the_default_clip_is_stable_diffusion_2_1s() -> None:
    with torch.device("meta"):
        net = build_text(CLIPConfig())
    assert sum(parameter.numel() for parameter in net.parameters()) == 340_387_840
    assert net.width == 1024


@pytest.mark.parametrize("name", ["openai/clip-vit-large-patch14", "no/such/name", "{folder}", "{folder}/none"])
def test_a_missing_tokenizer_is_named_with_the_way_to_get_it(name: str, tmp_path: Path) -> None:
    net = CLIPEncoder(replace(CLIP, tokenizer=name.format(folder=tmp_path)))
    with pytest.raises(ValueError, match=r"got no CLIP tokenizer of 21 tokens.*HF_HUB_OFFLINE.*hf download"):
        net(["red"])


def test_another_models_tokenizer_is_refused(clip: CLIPEncoder) -> None:
    other = CLIPEncoder(replace(clip.config, vocabulary_size=49408))
    with pytest.raises(ValueError, match="got no CLIP tokenizer of 49408 tokens"):
        other(["red"])


def test_the_small_encoder_does_not_load_transformers() -> None:
    code = (
        "import sys; from pixeldance.nets.text import WordConfig, build_text\n"
        "build_text(WordConfig(vocabulary=('red',)))(['red'])\n"
        "print('transformers' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout == "False\n"


def test_without_transformers_clip_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ValueError, match=r"pip install 'pixeldance\[clip\]'"):
        CLIPEncoder(CLIP)
