"""One thread a process: two pytest workers with a thread pool each would fight over the cores."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported; subprocesses inherit it

import torch

torch.set_num_threads(1)
