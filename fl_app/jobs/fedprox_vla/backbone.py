"""A tiny vision-language backbone with random weights: configuration, tokenizer and image processor.

SmolVLA loads its backbone through transformers' Auto classes from a hub name or a folder. This module writes
such a folder without a download: two small layers of each kind, and a tokenizer trained on three sentences.
"""

from __future__ import annotations

from pathlib import Path

SENTENCES = ("Put the red block in the bin\n", "Pick up the cube and place it\n", "Stack the blocks\n")
IMAGE_SIZE = 64
_VOCABULARY = 400
_IMAGE_TOKENS = {
    "image_token": "<image>",
    "fake_image_token": "<fake_token_around_image>",
    "global_image_token": "<global-img>",
    "end_of_utterance_token": "<end_of_utterance>",
}
_SPECIAL = ("<unk>", "<pad>", "<bos>", "<eos>", *_IMAGE_TOKENS.values())


def make_backbone(folder: Path) -> Path:
    """Write the backbone to `folder` and return the folder; the files are the same on every machine."""
    from transformers import SmolVLMConfig, SmolVLMImageProcessor

    tokenizer = _tokenizer()
    config = SmolVLMConfig(
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=tokenizer.pad_token_id,
        scale_factor=2,
        text_config={
            "model_type": "llama",
            "vocab_size": len(tokenizer),
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "max_position_embeddings": 512,
            "pad_token_id": tokenizer.pad_token_id,
            "tie_word_embeddings": False,
        },
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": IMAGE_SIZE,
            "patch_size": 16,
        },
    )
    edge = {"longest_edge": IMAGE_SIZE}
    for part in (config, tokenizer, SmolVLMImageProcessor(size=edge, max_image_size=edge)):
        part.save_pretrained(folder)
    return folder


def _tokenizer():  # type: ignore[no-untyped-def] # transformers is untyped
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    trained = Tokenizer(models.BPE(unk_token="<unk>"))  # noqa: S106 - a token of text
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY,
        special_tokens=list(_SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    trained.train_from_iterator(SENTENCES, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=trained,
        unk_token="<unk>",  # noqa: S106
        pad_token="<pad>",  # noqa: S106
        bos_token="<bos>",  # noqa: S106
        eos_token="<eos>",  # noqa: S106
        model_max_length=512,
        additional_special_tokens=list(_IMAGE_TOKENS.values()),
        extra_special_tokens=_IMAGE_TOKENS,
    )
