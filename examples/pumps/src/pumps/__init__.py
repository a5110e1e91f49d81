"""Electric submersible pumps: one use case, many wells."""
