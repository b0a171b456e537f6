"""Durable state: the journal, the read model over it, FEATURES.json and atms.yaml."""
