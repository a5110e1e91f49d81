"""From sensor frames to a judged version: features, targets, splits, fits, metrics, decisions."""
