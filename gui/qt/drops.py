"""Dropped or pasted things: files, pictures, or addresses of pictures."""

import base64
import binascii
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QBuffer, QByteArray, QIODevice, QMimeData, QObject, QUrl
from PySide6.QtGui import QImage
from PySide6.QtNetwork import QNetworkAccessManager, QNetworkReply, QNetworkRequest

MOST_BYTES = 200_000_000
"""A download is given up when it gets larger."""


@dataclass(frozen=True)
class Drop:
    """One of: files and folders, the bytes of a picture with a name, an address."""

    paths: tuple[Path, ...] = ()
    data: bytes | None = None
    name: str = ""
    url: QUrl | None = None


def acceptable(mime: QMimeData) -> bool:
    """Whether there is anything that could be a picture."""
    return mime.hasUrls() or mime.hasImage()


def contents(mime: QMimeData) -> Drop | None:
    """What there is, the most faithful form first: files, then pixels, then an address."""
    urls = mime.urls()
    paths = tuple(Path(url.toLocalFile()) for url in urls if url.isLocalFile())
    if paths:
        return Drop(paths=paths)
    for url in urls:
        if url.scheme() == "data":
            data = _data_url(url.toString())
            if data:
                return Drop(data=data, name="dropped picture")
    if mime.hasImage():
        image = mime.imageData()
        if isinstance(image, QImage) and not image.isNull():
            return Drop(data=to_png(image), name="pasted picture")
    remote = [url for url in urls if url.scheme() in ("http", "https")]
    return Drop(url=remote[0]) if remote else None


def to_png(image: QImage) -> bytes:
    """The picture as a PNG file, hardly compressed: it is read again at once."""
    stored = QByteArray()
    buffer = QBuffer(stored)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    image.save(buffer, "PNG", 100)  # type: ignore[call-overload]
    return bytes(stored.data())


def _data_url(url: str) -> bytes | None:
    """The bytes in data:image/png;base64,..."""
    head, _, body = url.partition(",")
    try:
        if head.endswith(";base64"):
            return base64.b64decode(urllib.parse.unquote(body))
        return urllib.parse.unquote_to_bytes(body)
    except (binascii.Error, ValueError):
        return None


class Download(QObject):
    """Fetches a picture that was dropped as an address; the newest one wins."""

    def __init__(
        self,
        parent: QObject,
        done: Callable[[bytes, str], None],
        failed: Callable[[str], None],
    ) -> None:
        super().__init__(parent)
        self._network = QNetworkAccessManager(self)
        self._network.setTransferTimeout(30_000)
        self._reply: QNetworkReply | None = None
        self._done = done
        self._failed = failed

    def start(self, url: QUrl) -> None:
        """Fetch."""
        self.stop()
        reply = self._reply = self._network.get(QNetworkRequest(url))
        reply.downloadProgress.connect(lambda have, _: reply.abort() if have > MOST_BYTES else None)
        reply.finished.connect(lambda: self._finished(reply, url))

    def stop(self) -> None:
        """Forget what is being fetched."""
        if self._reply is not None:
            reply, self._reply = self._reply, None
            reply.abort()

    def _finished(self, reply: QNetworkReply, url: QUrl) -> None:
        reply.deleteLater()
        if reply is not self._reply:
            return
        self._reply = None
        name = url.fileName() or url.host()
        if reply.error() != QNetworkReply.NetworkError.NoError:
            self._failed(f"{name} could not be fetched: {reply.errorString()}")
        else:
            self._done(bytes(reply.readAll().data()), name)
