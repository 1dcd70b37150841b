"""Training and evaluation: launching, the trainer, its data order, hooks and files."""
