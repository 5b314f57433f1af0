"""Where the time goes: processor microseconds an image, by part, and what bounds each."""
