"""How the versions compare, in one sentence."""

from . import words
from .jobs import CodedPicture
from .pictures import Picture
from .progress import joint
from .session import Session
from .state import Match

EXACT = 0.01
"""Sizes that differ by less are called the same; PSNR may differ by a tenth of a dB."""


def headline(session: Session) -> tuple[str, list[tuple[int, str]]]:
    """How the versions compare: "At the same 41 kB", and for each its number and words.

    Of a large picture it is the part in view until the whole is known, and SSIMULACRA2 is that of
    samples, which is said. While the reference is not known both are empty.
    """
    head, parts = _compared(session)
    scores = [session.measures.score(coded) for coded in session.shown.values()]
    samples = max((score.samples for score in scores if score is not None), default=0)
    if samples and parts:
        head = f"{head}, SSIMULACRA2 of {samples} samples".removeprefix(", ")
    return head, parts


def _compared(session: Session) -> tuple[str, list[tuple[int, str]]]:
    """`headline`, without what SSIMULACRA2 is of."""
    number = session.state.reference.number
    reference, shown, where = session.shown.get(number), session.shown, ""
    if reference is None and session.closeup.shown.get(number) is not None:
        reference, shown, where = session.closeup.shown[number], session.closeup.shown, "In view, "
    if reference is None:
        return "", []
    parts = []
    for version in session.state.versions:
        coded = shown.get(version.number)
        if coded is not None and (where or session.current(version.number)):
            text = _comparison(session, coded, reference, whole=not where)
            parts.append((version.number, text))
    match = session.state.match
    if match == Match.SIZE:
        at = words.bytes_text(reference.size)
        if where and session.picture is not None:
            at = f"≈ {words.bytes_text(session.closeup.estimate(number, session.picture) or 0)}"
        return f"{where}at the same {at}" if where else f"At the same {at}", parts
    if match == Match.PSNR:
        at = words.psnr(reference.psnr)
        return f"{where}at the same {at}" if where else f"At the same {at}", parts
    return where.strip(" ,"), parts


def _comparison(
    session: Session, coded: CodedPicture, reference: CodedPicture, *, whole: bool
) -> str:
    """PSNR, SSIMULACRA2 and MS-SSIM beside each other, and by how much a size or PSNR is not the
    same; sizes themselves only of the whole."""
    match = session.state.match
    score, similarity = session.measures.score(coded), session.measures.similarity(coded)
    measured = [words.psnr(coded.psnr)]
    if score is not None:
        measured.append(words.score(score.value))
    if similarity is not None:
        measured.append(f"MS-SSIM {words.similarity(similarity)}")
    fidelity = " / ".join(measured)
    size = words.bytes_text(coded.size)
    if match == Match.SIZE:
        more = coded.size / reference.size - 1
        if abs(more) <= EXACT:
            return fidelity
        return (
            f"{fidelity} at {size} ({words.signed(more)})"
            if whole
            else (f"{fidelity} ({words.signed(more)})")
        )
    if match == Match.PSNR:
        far = abs(coded.psnr - reference.psnr) > 0.1 and coded is not reference
        structure = measured[1:]
        return " / ".join([size, *([measured[0]] if far else []), *structure])
    return f"{size}, {fidelity}"


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
        every = session.requests
        done = sum(session.current(n) or n in session.failures for n in every)
        _, left = joint(works)
        share = (done + sum(work.share for work in works)) / len(every)
        return share, left, f"{done} of {len(every)} versions"
    if session.curves.left:
        return session.curves.share, None, f"{session.curves.left} points to measure"
    return 1.0, None, ""
