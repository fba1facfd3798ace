"""The most memory that was in use since a moment: of the GPU where the module is on one, else of the process."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

import torch

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # proc(5): the peak of the resident set is set back to its present size


class PeakMemory:
    """Peak of the memory in use, set back by :meth:`restart`.

    On Linux the kernel keeps the process's peak and sets it back on request. Elsewhere the peak is that since the
    process began.

    Args:
        device: Where the module lies.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def restart(self) -> None:
        """Begin anew."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            return
        with suppress(OSError):
            _RESET.write_text(_RESET_PEAK)

    def peak(self) -> int:
        """Bytes, the most since the last restart."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        try:
            text = _STATUS.read_text()
        except OSError:
            return _peak_without_proc()
        return 1024 * int(text.partition("VmHWM:")[2].split()[0])


def _peak_without_proc() -> int:
    """The peak since the process began, which is all that other systems tell."""
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
