"""Findings: what in a dataset's pictures and labels may spoil a training run."""
