"""How the versions compare, in one sentence."""

from . import words
from .jobs import CodedPicture
from .pictures import Picture
from .progress import joint
from .session import Session
from .state import Match


def headline(session: Session) -> tuple[str, list[tuple[int, str]]]:
    """How the versions compare: "At the same 41 kB", and for each its number and words.

    While the reference is not known both are empty.
    """
    reference = session.shown.get(session.state.reference.number)
    if reference is None:
        return "", []
    match = session.state.match
    parts = []
    for version in session.state.versions:
        coded = session.shown.get(version.number)
        if coded is not None and session.current(version.number):
            parts.append((version.number, _comparison(match, coded, reference)))
    if match == Match.SIZE:
        return f"At the same {words.bytes_text(reference.size)}", parts
    if match == Match.PSNR:
        return f"At the same {words.psnr(reference.psnr)}", parts
    return "", parts


def _comparison(match: Match, coded: CodedPicture, reference: CodedPicture) -> str:
    size, psnr = words.bytes_text(coded.size), words.psnr(coded.psnr)
    if match == Match.SIZE:
        near = abs(coded.size - reference.size) <= 0.05 * reference.size
        return psnr if near else f"{psnr} at {size}"
    if match == Match.PSNR:
        near = abs(coded.psnr - reference.psnr) <= 0.3 or coded is reference
        return size if near else f"{size} at {psnr}"
    return f"{size}, {psnr}"


def opened_words(picture: Picture) -> str:
    """What is known of a .mlic file that is shown as it is."""
    size = picture.file_bytes or 0
    known = [words.bytes_text(size), words.bpp(8 * size / picture.pixels), picture.facts]
    return ", ".join(fact for fact in known if fact)


def progress_of(session: Session) -> tuple[float, float | None, str]:
    """The finished share of what runs, the seconds left if they are known, and what it is; the
    words are empty if nothing runs."""
    if session.opening is not None:
        return 0.0, None, f"Opening {session.opening}"
    if session.saves.running:
        share, left = joint(list(session.saves.running.values()))
        return share, left, f"Saving {', '.join(path.name for path in session.saves.running)}"
    if session.busy:
        works = list(session.progress.values())
        done = len(session.requests) - len(works)
        share, left = joint(works)
        share = (done + share * len(works)) / max(len(session.requests), 1)
        return share, left, f"{done} of {len(session.requests)} versions"
    if session.curves.left:
        return session.curves.share, None, f"{session.curves.left} points to measure"
    return 1.0, None, ""
