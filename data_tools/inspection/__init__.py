"""What a dataset folder holds and what to look at in it: numbers, pictures, findings. Knows samples, no annotations."""
