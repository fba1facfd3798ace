"""The offline suite: tasks in lm-eval's YAML format, their documents as JSON lines, and the functions they name."""
