"""The cluster engine: the same work by actors of Ray. No other module knows Ray's interface.

    jobs -> Dataset, a block for each few jobs -> a pool of actors -> records, as blocks are done

An actor loads the weights once and lives as long as the job. It reads its pictures itself, and only
when it comes to them, so only names and records travel through Ray. If its machine is lost, Ray has
others do the block again.
"""

import json
import logging
import os
from collections.abc import Iterator
from typing import Any

from . import order as orders
from .manifest import Record
from .order import Job, Order
from .work import BatchWorker

MISSING = (
    "the engine 'ray' needs Ray Data; run: python -m pip install 'pillow-mlic[cluster]' "
    "(here and on every node)"
)
BLOCK = 8
"""Most jobs of a block, whose records come back together."""
PASSED_ON = (
    "MLIC_WEIGHTS",
    "MLIC_DEVICE",
    "MLIC_ENGINE",
    "MLIC_ONNX_PROVIDERS",
    "MLIC_RANGE_CODER",
    "MLIC_BF16",
)
"""Environment variables that the actors get from this process."""


class Actor:
    """A `BatchWorker` as Ray calls it."""

    def __init__(self, order: Order) -> None:
        self._work = BatchWorker(order)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """A row with a job -> a row with its records. As text: Arrow wants rows of one kind."""
        return {"records": json.dumps(list(self._work(orders.load(row["job"]))))}


def run(
    order: Order,
    jobs: list[Job],
    workers: int | None,
    num_gpus: float,
    address: str | None,
) -> Iterator[Record]:
    """Work on a cluster; records come as blocks are done.

    `address` is that of `ray.init`: None takes RAY_ADDRESS, or starts Ray on this machine.
    Raises ImportError without Ray, ValueError where no cluster answers.
    """
    ray, data = load()
    started = _connect(ray, address)
    try:
        if workers is None:
            workers = max(1, int(ray.cluster_resources().get("CPU", 1)) // order.threads)
        workers = min(workers, len(jobs))
        blocks = min(len(jobs), max(4 * workers, -(-len(jobs) // BLOCK)))
        rows = [{"job": orders.dump(job)} for job in jobs]
        dataset = data.from_items(rows, override_num_blocks=blocks)
        for row in dataset.map(Actor, **arguments(data, order, workers, num_gpus)).iter_rows():
            yield from json.loads(row["records"])
    finally:
        if started:
            ray.shutdown()


def arguments(data: Any, order: Order, workers: int, num_gpus: float) -> dict[str, Any]:
    """Arguments of `Dataset.map`: the size of the pool, and the resources of each actor."""
    return {
        "fn_constructor_args": (order,),
        # The size of the pool: `compute=ActorPoolStrategy(min, max)` to Ray 2.2, `(size=)` since,
        # `concurrency=` beside it from 2.9 and deprecated again in 2.51.
        "compute": data.ActorPoolStrategy(size=workers),
        "num_cpus": order.threads,
        "num_gpus": num_gpus or None,
    }


def load() -> tuple[Any, Any]:
    """The modules `ray` and `ray.data`; ImportError with advice where there are none."""
    try:
        import ray
        import ray.data
    except ImportError as error:
        msg = f"{MISSING} ({error})"
        raise ImportError(msg) from error
    return ray, ray.data


def _connect(ray: Any, address: str | None) -> bool:
    """Join the cluster; -> False if this process had joined one before."""
    if ray.is_initialized():
        return False
    starts = address in (None, "local") and not os.environ.get("RAY_ADDRESS")
    variables = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    try:
        ray.init(
            address=address,
            runtime_env={"env_vars": variables} if variables else None,
            log_to_driver=False,
            logging_level=logging.ERROR,
            **({"include_dashboard": False} if starts else {}),  # not for a cluster that runs
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        msg = f"no Ray cluster answers at {address or 'the default address'}: {error}"
        raise ValueError(msg) from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    return True
