"""Versions as files: what they are called, and how they are written."""

from pathlib import Path

from . import choices, file_jobs, jobs
from .session import Session


def suggested_name(session: Session, number: int) -> str:
    """A file name for a version: photo.mlic; never that of the picture's own file."""
    assert session.picture is not None
    coded = session.shown[number]
    version = session.state.version(number)
    own = Path(session.picture.name)
    if version is not None and version.path is not None:
        return Path(version.path).name
    suffix = choices.choice(coded.codec).suffix
    if own.suffix.lower() not in (suffix, ".jpeg" if suffix == ".jpg" else suffix):
        return own.stem + suffix
    return f"{own.stem}-q{coded.quality:g}{suffix}"


def _is_own_file(session: Session, target: Path) -> bool:
    """Whether that is the file of the open picture."""
    path = session.picture.path if session.picture is not None else None
    return path is not None and target.exists() and path.exists() and target.samefile(path)


def save(session: Session, number: int, target: Path) -> None:
    """Write a version as a file, with metadata if they are kept."""
    assert session.picture is not None
    if _is_own_file(session, target):
        session.say(f"{target.name} is the original; choose another name", True)
        return
    coded = session.shown[number]
    is_file = coded.codec == choices.FILE
    request = session.requests.get(number)
    session.saves.start(
        session.desk.worker_for(coded.codec),
        file_jobs.save,
        target,
        session.picture.file_bytes,
        source=session.picture.raster,
        coded=coded,
        device=session.state.device,
        metadata={} if is_file else session.picture.metadata(session.state.keep_metadata),
        effort=request.effort if request is not None else jobs.NO_EFFORT,
    )


def export(session: Session, number: int, target: Path) -> None:
    """Write the pixels of a version, or of the original, in another format."""
    pixels = session.raster(number)
    assert session.picture is not None
    assert pixels is not None
    if _is_own_file(session, target):
        session.say(f"{target.name} is the original; choose another name", True)
        return
    session.saves.start(
        session.workers.pictures,
        file_jobs.export,
        target,
        None,
        pixels=pixels,
        metadata=session.picture.metadata(session.state.keep_metadata),
    )
