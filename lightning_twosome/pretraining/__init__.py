"""Corpus grammar and pretraining recipe of the small bundled language model."""
