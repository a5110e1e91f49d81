"""The report: what the ledger and the stores know, as static pages."""
