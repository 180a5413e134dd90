"""The only module that imports onnxruntime, once it is told to report nothing to its maker.

Its wheels for Linux (seen in 1.32) keep a device number and a database of events in the home directory of the
user and look up a collector of its maker, unless this variable is set before they are imported.
"""

import os
from typing import TYPE_CHECKING

from analysis.threads import threads_allowed

if TYPE_CHECKING:
    import onnxruntime

__all__ = ["open_session"]

_THREADS = 2


def open_session(content: bytes) -> "onnxruntime.InferenceSession":
    """Load an ONNX model for the processor.

    Parameters
    ----------
    content : bytes
        The file.

    Raises
    ------
    Exception
        If onnxruntime cannot load it; its errors have no public base class.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = min(_THREADS, threads_allowed())
    options.inter_op_num_threads = 1
    # The plan keeps a block of the largest size for each shape of image, and saves no time.
    options.enable_mem_pattern = False
    # Nor is what a run has used kept for the next one: it would stay when the last slice is done.
    options.enable_cpu_mem_arena = False
    # A thread that waits must not spin: with T1 and T2 side by side, it would take a core from the other.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
