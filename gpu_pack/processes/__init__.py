"""Workers in processes of their own, which read their files themselves.

Threads share one interpreter, and each image needs it for more than a tenth of a millisecond: to be read, looked
through, handed on and answered. On two cores, a GPU that takes no time at all gets 4,400 to 5,700 images a second from
one process, fewer the more workers there are, and 8,700 to 10,200 from several. A process has an interpreter of its
own, and what kills it (a decoder that crashes on a picture, a GPU that fails for good) is not the run's end.

The run's own process only says which files are next and takes their records' bytes: see `gpu_pack.processes.process_group`.
"""
