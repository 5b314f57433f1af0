"""Workers in processes of their own, which read their files themselves: see `gpu_pack.processes.process_group`.

Threads share one interpreter, which each image needs for more than 0.1 ms: with a GPU that takes no time, one process
does 4,400 to 5,700 images/s on two cores, several do 8,700 to 10,200. And a process may crash without ending the run.
"""
