"""Lightning callbacks of the package, installed as ``lightning_twosome.callbacks``."""
