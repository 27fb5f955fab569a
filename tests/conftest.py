"""One thread a process: two pytest workers with a thread pool each would fight over the cores.

And Ctrl-C is heard: what a shell starts in the background ignores it, and so does all that it starts.
"""

import os
import signal

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported; subprocesses inherit it

import torch

torch.set_num_threads(1)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
