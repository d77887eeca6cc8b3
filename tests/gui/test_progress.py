"""What is said of jobs that run."""

from pillow_mlic_gui.progress import LOADING, JobProgress, Stage, joint


class Clock:
    at = 0.0

    def __call__(self) -> float:
        return self.at


def test_time_left_is_estimated_from_the_speed() -> None:
    clock = Clock()
    work = JobProgress(clock)
    assert (work.started, work.left, work.text()) == (False, None, "working")
    work.hear(Stage(0.0, "encoding"))
    clock.at = 0.5
    work.hear(Stage(0.1, "encoding"))
    assert work.left is None  # too soon to tell
    clock.at = 10
    work.hear(Stage(0.25, "refining 3 of 30"))
    assert work.left == 30
    assert work.text() == "refining 3 of 30, 25 %, 30 s left"


def test_loading_does_not_count() -> None:
    clock = Clock()
    work = JobProgress(clock)
    work.hear(Stage(0.0, LOADING))
    clock.at = 100
    assert work.text() == LOADING
    work.hear(Stage(0.0, "encoding"))
    clock.at = 102
    work.hear(Stage(0.5, "encoding"))
    assert work.left == 2


def test_codecs_that_tell_nothing_show_the_time_spent() -> None:
    clock = Clock()
    work = JobProgress(clock)
    work.hear(Stage(0.0, "encoding"))
    clock.at = 5
    assert work.text() == "encoding, for 5 s"


def test_the_slowest_of_several_counts() -> None:
    clock = Clock()
    works = [JobProgress(clock) for _ in range(3)]
    for work in works[:2]:
        work.hear(Stage(0.0))
    clock.at = 4
    works[0].hear(Stage(0.8))
    works[1].hear(Stage(0.4))
    share, left = joint(works)
    assert round(share, 6) == 0.4
    assert left == works[1].left == 4 * 0.6 / 0.4
    assert joint([]) == (1.0, None)
