"""Studies: a grid of tasks, methods and seeds, run to the end and put in one table."""
