"""A map-style dataset over .rec files, for PyTorch's DataLoader or a plain loop; it imports no framework."""

from __future__ import annotations

from gpu_pack.dataset.collate import collate
from gpu_pack.dataset.record_dataset import RecordDataset

__all__ = ["RecordDataset", "collate"]
