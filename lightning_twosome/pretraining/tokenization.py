"""A byte-level BPE tokenizer trained on the corpus."""

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

BOS = "<s>"
PAD = "<pad>"


def train_tokenizer(
    documents: Iterable[str], vocabulary_size: int = 1280, model_max_length: int = 512
) -> PreTrainedTokenizerFast:
    """Trains a tokenizer which puts the document separator ``<s>`` before every text and adds nothing after it.

    Args:
        documents: Training texts.
        vocabulary_size: Number of tokens, including 256 bytes and two special tokens.
        model_max_length: Longest input in tokens which the tokenizer announces.

    Returns:
        A fast tokenizer whose decoding restores the text exactly.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=[BOS, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(documents, trainer)
    # The whitespace before a word belongs to the word's token; untrimmed offsets therefore tile the text.
    tokenizer.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(single=f"{BOS} $A", pair=f"{BOS} $A $B:1", special_tokens=[(BOS, 0)]),
        ]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        pad_token=PAD,
        model_max_length=model_max_length,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
    )
