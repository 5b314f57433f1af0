"""Workers in processes of their own, which read their files themselves.

Threads share one interpreter, and each image needs it for more than a tenth of a millisecond: to be read, looked
through, handed on and answered. On two cores, a GPU that took no time at all got 3,400 to 4,800 images a second from
one process. A process has an interpreter of its own, and what kills it (a decoder that crashes on a picture, a GPU
that fails for good) is not the run's end.

The run's own process only says which files are next and takes their records' bytes: see `gpu_pack.remote.worker`.
"""
