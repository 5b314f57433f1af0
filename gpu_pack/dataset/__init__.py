"""Datasets over .rec files, for PyTorch's DataLoader or a plain loop, by position or as a stream."""

from __future__ import annotations

from gpu_pack.dataset.collate import collate
from gpu_pack.dataset.record_dataset import RecordDataset
from gpu_pack.dataset.record_stream import RecordStream

__all__ = ["RecordDataset", "RecordStream", "collate"]
