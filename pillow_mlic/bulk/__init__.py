"""Many pictures at once: `pillow_mlic.batch`.

    sources -> places.find -> plan -> jobs -> an engine's workers -> records -> manifest, progress

Engines differ in where their workers are: processes here (`pool`), or actors of a Ray cluster
(`on_ray`). What a worker does with a job (`work`) is the same for both, and so are its bytes.
"""

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .run import BatchProgress, BatchSummary

PathOrUrl = str | os.PathLike[str]


def batch(
    src: PathOrUrl | Iterable[PathOrUrl],
    dst: PathOrUrl,
    *,
    to: str | None = "mlic",
    workers: int | None = None,
    threads: int | None = 1,
    engine: str | None = "local",
    address: str | None = None,
    num_gpus: float | None = 0,
    manifest: PathOrUrl | None = None,
    psnr: bool = False,
    strip: bool = False,
    huge: bool = False,
    eight_bit: bool = False,
    force: bool = False,
    dry_run: bool = False,
    progress: "Callable[[BatchProgress], object] | None" = None,
    **options: Any,
) -> "BatchSummary":
    """Convert pictures to .mlic, or .mlic files to another format, in several processes.

    `src`: folders (with all below them), globs, files or fsspec URLs (`s3://bucket/photos`,
    `zip://::photos.zip`); `dst`: a folder or URL that gets the same tree. A job that was stopped,
    in whatever way, goes on where it was when it is started again.

    `to`: "mlic", or "png", "jpeg", "webp" ... for .mlic files. `workers`: processes, by default
    one for each CPU core (`engine="ray"`: one actor for each CPU of the cluster) divided by
    `threads`, the threads of each. `address` and `num_gpus` (of each actor) are Ray's.
    `manifest`: file of JSON lines, default `manifest.jsonl` in `dst`. `psnr`: decode what was
    encoded and note the PSNR. `strip`: leave out EXIF and XMP. `huge`: also pictures beyond
    Pillow's limit. `eight_bit`: scale 16 bits a channel to 8. `force`: begin anew and replace what
    is there. `dry_run`: say what would be done. `progress`: called after each picture; an exception
    that it raises cancels the work.
    Other options are those of `Image.save`: quality, target_bpp, max_bytes, target_psnr, model,
    device, optimize, refine, preview, tile. None is the default of every option.

    The same inputs and options give the same bytes whatever the number of workers, as each works
    with one thread; with several threads results may differ in their last bits. Broken pictures do
    not stop the job: they are in `BatchSummary.rejects`. Raises ValueError for a job that cannot
    begin, ImportError where the engine is not installed.
    """
    from ..settings import count, flag
    from . import run
    from .order import Order

    # Numbers as JSON has them: NumPy's are numbers, too.
    plain = {k: v.item() if getattr(v, "ndim", None) == 0 else v for k, v in options.items()}
    order = Order(
        to="mlic" if to is None else to,
        options=plain,
        threads=1 if threads is None else count("threads", threads),
        psnr=flag("psnr", psnr),
        strip=flag("strip", strip),
        huge=flag("huge", huge),
        eight_bit=flag("eight_bit", eight_bit),
    )
    sources = [src] if isinstance(src, str | os.PathLike) else list(src)
    job = run.BatchRequest(
        sources=[os.fspath(source) for source in sources],
        target=os.fspath(dst),
        order=order,
        engine="local" if engine is None else engine,
        workers=None if workers is None else count("workers", workers),
        address=address,
        num_gpus=0 if num_gpus is None else run.gpus(num_gpus),
        manifest=None if manifest is None else os.fspath(manifest),
        force=flag("force", force),
        dry_run=flag("dry_run", dry_run),
    )
    return run.run(job, progress)


__all__ = ["batch"]
