"""Many instances at once: what is due and why, the workers, and what became of each."""
