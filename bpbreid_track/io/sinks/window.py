"""A live window on the desktop."""

from __future__ import annotations

import os
import subprocess
import sys

import cv2
import numpy as np

from ...errors import UsageError

_MEND = "leave out --show and write a video with --out"


class WindowSink:
    """A window that shows painted frames as they come; q, Esc or closing the window end it.

    Args:
        title: of the window.

    Attributes:
        closed: the user wants to stop.

    Raises:
        UsageError: no display to open a window on.
    """

    def __init__(self, title: str) -> None:
        self.closed = False
        self._title = title
        if sys.platform.startswith("linux"):
            _require_display()
        try:
            cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
        except cv2.error as error:
            raise UsageError(
                f"this build of OpenCV opens no windows (opencv-python-headless?); {_MEND}"
            ) from error

    def write(self, image: np.ndarray, timestamp: float | None = None) -> None:
        """Show one frame.

        Args:
            image: uint8 [H, W, 3], BGR.
            timestamp: not used; frames are shown as soon as they are ready.
        """
        if self.closed:
            return
        cv2.imshow(self._title, image)
        key = cv2.waitKey(1) & 0xFF
        visible = cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) >= 1
        self.closed = key in (ord("q"), 27) or not visible

    def close(self) -> None:
        """Close the window. May be called twice."""
        if self._title:
            cv2.destroyWindow(self._title)
            self._title = ""


def _require_display() -> None:
    """Fail where no window can be opened, before Qt ends the whole process because of it."""
    if not any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")):
        raise UsageError(f"no display to show a window on; {_MEND}")
    # The variable may be left over from a desktop that is gone: only an attempt can tell.
    attempt = [sys.executable, "-c", "import cv2; cv2.namedWindow('probe')"]
    if subprocess.run(attempt, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode:
        display = os.environ.get("DISPLAY") or os.environ["WAYLAND_DISPLAY"]
        raise UsageError(f"no window can be opened on display {display!r}; {_MEND}")
