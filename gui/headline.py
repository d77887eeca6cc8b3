"""How the versions compare, in one sentence."""

from typing import NamedTuple

from . import words
from .jobs import CodedPicture
from .pictures import Picture
from .progress import joint
from .session import Session
from .state import Match

EXACT = 0.01
"""Sizes that differ by less are called the same."""
FAR = 0.1
"""PSNR in dB that differs by more is not called the same."""


def headline(session: Session) -> tuple[str, list[tuple[int, str]]]:
    """How the versions compare: "At the same 41 kB, PSNR / SSIMULACRA2 / MS-SSIM", and for each its
    number and words.

    Of a large picture it is the part in view until the whole is known, and SSIMULACRA2 is that of
    samples, which is said. While the reference is not known both are empty.
    """
    number = session.state.reference.number
    reference, shown, where = session.shown.get(number), session.shown, ""
    if reference is None and session.closeup.shown.get(number) is not None:
        reference, shown, where = session.closeup.shown[number], session.closeup.shown, "In view, "
    if reference is None:
        return "", []
    coded = {v.number: shown[v.number] for v in session.state.versions if v.number in shown}
    if not where:
        coded = {n: each for n, each in coded.items() if session.current(n)}
    measures = _measured(session, list(coded.values()))
    names = list(measures)
    match = session.state.match
    if match == Match.SIZE:
        at = words.bytes_text(reference.size)
        if where and session.picture is not None:
            at = f"≈ {words.bytes_text(session.closeup.estimate(number, session.picture) or 0)}"
        head = f"at the same {at}, "
    elif match == Match.PSNR:
        head = f"at the same {words.psnr(reference.psnr)}, "
        names[0] = "size"
    else:
        head, names = "", ["size", *names]
    head = where + head + " / ".join(names)
    compare = _Comparison(match, reference, whole=not where)
    return head[0].upper() + head[1:], [
        (n, compare.words(each, [found[place] for found in measures.values()]))
        for place, (n, each) in enumerate(coded.items())
    ]


def _measured(session: Session, coded: list[CodedPicture]) -> dict[str, list[str]]:
    """Names of measures, PSNR first, and what they say of each version; those that are known."""
    found = {"PSNR": [words.psnr(each.psnr) for each in coded]}
    scores = [session.measures.score(each) for each in coded]
    if any(score is not None for score in scores):
        samples = max(score.samples for score in scores if score is not None)
        name = f"SSIMULACRA2 of {samples} samples" if samples else "SSIMULACRA2"
        found[name] = [words.score(score.value if score else None) for score in scores]
    similarities = [session.measures.similarity(each) for each in coded]
    if any(similarity is not None for similarity in similarities):
        found["MS-SSIM"] = [words.similarity(similarity) for similarity in similarities]
    return found


class _Comparison(NamedTuple):
    """Versions beside a reference; sizes are told only of whole files."""

    match: Match
    reference: CodedPicture
    whole: bool

    def words(self, coded: CodedPicture, measured: list[str]) -> str:
        """What is measured of a version, PSNR first, and by how much what should be the same is
        not."""
        size = words.bytes_text(coded.size)
        if self.match == Match.SIZE:
            more = coded.size / self.reference.size - 1
            fidelity = " / ".join(measured)
            if abs(more) <= EXACT:
                return fidelity
            at = f" at {size}" if self.whole else ""
            return f"{fidelity}{at} ({words.signed(more)})"
        if self.match == Match.PSNR:
            far = abs(coded.psnr - self.reference.psnr) > FAR and coded is not self.reference
            text = " / ".join([size, *measured[1:]])
            return f"{text} (PSNR {measured[0]})" if far else text
        return " / ".join([size, *measured])


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
