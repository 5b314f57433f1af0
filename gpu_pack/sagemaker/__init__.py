"""A dataset as the two channels of a SageMaker training job: checked, uploaded, and described for the request.

It is for the built-in algorithm "Image Classification - MXNet". What its jobs ask of RecordIO is in its developer
guide: two channels, `train` and `validation`, one .rec file in each and nothing else; labels numbered from 0 without
gaps; no image smaller than ``image_shape``, if nothing resizes it; at least ``mini_batch_size`` images; ``num_classes``
and ``num_training_samples`` exact. A job that breaks a rule fails after minutes of starting machines; here it is said
before anything is uploaded.
"""

from __future__ import annotations
