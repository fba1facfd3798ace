"""Tiny random models of many architectures, and tokenizers trained on the spot, for the tests of scoring."""

from __future__ import annotations

import functools
import random

import torch
import transformers as hf
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from lightning_twosome import Decision

SENTENCES = [
    "You see a tomato on the table. Next, you should pick up the tomato and walk to the cutting board.",
    "There is a bowl in the kitchen. Put the lettuce into the bowl, then serve the salad at the counter.",
    "Chop the onion, turn on the oven, open the fridge and take out the cream pie.",
]
WORDS = sorted(set(" ".join(SENTENCES).replace(".", "").replace(",", "").lower().split()))
WINDOW = 12


@functools.cache
def tokenizer(kind: str = "byte"):
    """A fast tokenizer: "byte" (BPE as of GPT-2), "bos" (the same with BOS and EOS), "unigram" or "metaspace"."""
    special = ["<unk>", "<s>", "</s>", "<pad>"]
    if kind in ("byte", "bos"):
        core = Tokenizer(models.BPE())
        core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        core.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=340, special_tokens=special, initial_alphabet=alphabet)
    elif kind == "unigram":
        core = Tokenizer(models.Unigram())
        core.normalizer = normalizers.NFKC()
        core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=False)
        trainer = trainers.UnigramTrainer(
            vocab_size=150, special_tokens=special, unk_token="<unk>", max_piece_length=24
        )
    else:
        core = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
        core.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        trainer = trainers.BpeTrainer(vocab_size=140, special_tokens=special)
    core.train_from_iterator(SENTENCES * 5, trainer)
    if kind != "byte":
        ends = "<s> $A </s>" if kind == "bos" else "<s> $A"
        core.post_processor = processors.TemplateProcessing(single=ends, special_tokens=[("<s>", 1), ("</s>", 2)])
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )


SMALL = dict(vocab_size=340, hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4)
GROUPED = dict(SMALL, num_key_value_heads=2, max_position_embeddings=256)
IDS = dict(pad_token_id=3, bos_token_id=1, eos_token_id=2)
QV, QKV = ["q_proj", "v_proj"], ["query_key_value"]

# name: (configuration, LoRA targets, the method that "auto" must find)
ARCHITECTURES = {
    "llama": (lambda: hf.LlamaConfig(**GROUPED, **IDS), QV, "tree"),
    "qwen2": (lambda: hf.Qwen2Config(**GROUPED, **IDS), QV, "tree"),
    "qwen2-window": (
        lambda: hf.Qwen2Config(**GROUPED, **IDS, use_sliding_window=True, sliding_window=WINDOW, max_window_layers=1),
        QV,
        "tree",
    ),
    "qwen3": (lambda: hf.Qwen3Config(**GROUPED, **IDS, head_dim=8), QV, "tree"),
    "gemma": (lambda: hf.GemmaConfig(**GROUPED, **IDS, head_dim=8), QV, "tree"),
    "gemma2": (lambda: hf.Gemma2Config(**GROUPED, **IDS, head_dim=8, sliding_window=WINDOW), QV, "tree"),
    "gemma3": (
        lambda: hf.Gemma3TextConfig(
            **GROUPED,
            **IDS,
            head_dim=8,
            sliding_window=WINDOW,
            layer_types=["sliding_attention"] * 2 + ["full_attention"],
        ),
        QV,
        "tree",
    ),
    "mistral": (lambda: hf.MistralConfig(**GROUPED, **IDS, sliding_window=None), QV, "tree"),
    "mistral-window": (lambda: hf.MistralConfig(**GROUPED, **IDS, sliding_window=WINDOW), QV, "tree"),
    "gpt2": (
        lambda: hf.GPT2Config(vocab_size=340, n_embd=32, n_layer=3, n_head=4, n_positions=256, **IDS),
        ["c_attn"],
        "tree",
    ),
    "gpt-neox": (lambda: hf.GPTNeoXConfig(**SMALL, **IDS, rotary_pct=0.5), QKV, "tree"),
    "opt": (
        lambda: hf.OPTConfig(
            vocab_size=340,
            hidden_size=32,
            ffn_dim=48,
            num_hidden_layers=3,
            num_attention_heads=4,
            word_embed_proj_dim=32,
            max_position_embeddings=256,
            **IDS,
        ),
        QV,
        "tree",
    ),
    "phi3": (lambda: hf.Phi3Config(**GROUPED, **IDS), ["qkv_proj"], "tree"),
    "mixtral": (lambda: hf.MixtralConfig(**GROUPED, **IDS, num_local_experts=4, num_experts_per_tok=2), QV, "tree"),
    "bloom": (lambda: hf.BloomConfig(vocab_size=340, hidden_size=32, n_layer=3, n_head=4, **IDS), QKV, "cache"),
    "gpt-neo": (
        lambda: hf.GPTNeoConfig(
            vocab_size=340,
            hidden_size=32,
            num_layers=2,
            num_heads=4,
            intermediate_size=48,
            window_size=WINDOW,
            attention_types=[[["global", "local"], 1]],
            max_position_embeddings=256,
            **IDS,
        ),
        QV,
        "cache",
    ),
    "mamba": (
        lambda: hf.MambaConfig(vocab_size=340, hidden_size=32, state_size=4, num_hidden_layers=2, **IDS),
        ["x_proj"],
        "duplicate",
    ),
}


def build(name: str, lora: bool = True, seed: int = 0):
    """A tiny model in evaluation mode, its weights large enough for mistakes to show, its adapter away from zero."""
    config, targets, _ = ARCHITECTURES[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = config()
        for rate in [field for field in vars(config) if "drop" in field and isinstance(getattr(config, field), float)]:
            setattr(config, rate, 0.0)
        model = hf.AutoModelForCausalLM.from_config(config)
        if lora:
            model = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules=targets, lora_dropout=0.0))
        for parameter in model.parameters():
            if parameter.dim() >= 2:
                torch.nn.init.normal_(parameter, 0.0, parameter.shape[-1] ** -0.5)
    return model.eval()


def decisions(sizes=(1, 17, 3, 2, 6), seed: int = 0) -> list[Decision]:
    """Ragged decisions whose actions share prefixes, extend one another and are short or long."""
    source = random.Random(seed)
    made = []
    for size in sizes:
        prompt = " ".join(source.choices(WORDS, k=source.randint(2, 14))) + source.choice([".", ",", ""])
        actions = ["walk"] if size == 1 else ["pick up", "pick up the tomato"]
        while len(actions) < size:
            stem = source.choice([*actions, ""])
            action = " ".join(f"{stem} {' '.join(source.choices(WORDS, k=source.randint(1, 3)))}".split()[:5])
            if action not in actions:
                actions.append(action)
        made.append(Decision(prompt, tuple(source.sample(actions, len(actions)))))
    return made
