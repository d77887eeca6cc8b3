"""Why a version is not there yet."""

from .progress import LOADING
from .session import Session


def waiting_words(session: Session, number: int) -> str:
    """What is done for a version, or waited for: refining 3 of 30, 12 %, 40 s left."""
    request = session.requests.get(number)
    if not session.comparing:
        return ""
    if request is None:
        return "starting"
    progress = session.progress.get(number)
    if progress is not None and progress.started:
        return progress.text()
    worker = session.desk.worker_of(request)
    if session.loading and worker is session.workers.neural:
        return LOADING
    for other, work in session.progress.items():
        theirs = session.requests.get(other)
        if work.started and theirs and session.desk.worker_of(theirs) is worker:
            return f"after {session.name(other)}"
    if session.closeup.part is not None and any(
        session.desk.cache.get(r) is None for r in session.closeup.requests.values()
    ):
        return "after the part in view"
    return "starting"
