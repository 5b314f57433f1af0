"""Costs that can be told without a clock: instructions an image of the hot parts, counted by valgrind's callgrind."""
