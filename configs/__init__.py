"""Configurations of the command line, installed as ``lightning_twosome.configs``; every file runs."""
