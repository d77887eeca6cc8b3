"""Jobs for the tests of workers."""

import io
import os
import time

from PIL import Image


def echo(report, value):
    report(0.5)
    return value


def environment(report, name):
    return os.environ.get(name)


def fail(report, kind):
    if kind == "memory":
        raise MemoryError
    if kind == "file":
        open("/no/such/file", "rb").close()
    if kind == "picture":
        Image.open(__file__)
    if kind == "short":
        stored = io.BytesIO()
        Image.new("RGB", (64, 64)).save(stored, "JPEG")
        Image.open(io.BytesIO(stored.getvalue()[:-200])).load()
    if kind == "codec":
        msg = "odd"
        raise RuntimeError(msg)
    if kind == "bug":
        raise ZeroDivisionError
    raise ValueError(kind)


def count(report, steps, pause=0.01):
    for step in range(steps):
        time.sleep(pause)
        report(step / steps)
    return steps


def deaf(report):
    time.sleep(60)


def die(report):
    os._exit(1)


def number(report):
    return os.getpid()
