"""What a language model forgets while it learns to act: a bundled offline suite, and lm-eval on the live model."""
