"""Check a dataset against the rules of a SageMaker training job, and upload it as the job's two channels.

For the built-in algorithm "Image Classification - MXNet". By its developer guide, a job with RecordIO takes two
channels, `train` and `validation`, with one .rec file and nothing else in each; labels 0, 1, 2, ... without gaps; no
image smaller than ``image_shape`` unless the job resizes; at least ``mini_batch_size`` images; and the exact
``num_classes`` and ``num_training_samples``. A job that breaks a rule fails only after its machines have started, so
all is checked first.
"""
