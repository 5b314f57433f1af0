"""OpenCV on the CPU: the same work as the GPU path, for machines without CUDA."""
