"""The CPU backend, for machines without CUDA: OpenCV, and libjpeg-turbo for JPEGs."""
