"""A screen that nobody sees, for scripts that drive the window. Needs Linux with Xvfb."""

import os
import subprocess


def virtual_screen() -> "subprocess.Popen[bytes]":
    """Start Xvfb on a free display and point Qt to it."""
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "1600x1000x24", "-nolisten", "tcp"],
        pass_fds=[write],
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    with os.fdopen(read) as answer:
        os.environ["DISPLAY"] = ":" + answer.readline().strip()
    os.environ["QT_QPA_PLATFORM"] = "xcb"
    return server
