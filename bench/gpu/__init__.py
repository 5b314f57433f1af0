"""What prove_gpu.py runs: `parts` measure, `record` keeps, `verdict` judges and `findings` writes the page."""
