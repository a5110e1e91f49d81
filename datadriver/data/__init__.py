"""From the raw tables of a plant to one sensor frame per asset, and the contract that it must meet."""
