"""Which of a node's GPUs belong to a task of SLURM."""

import re
from collections.abc import Mapping


def local_devices(environment: Mapping[str, str]) -> list[int] | None:
    """Return the numbers, among the GPUs that a task sees, of those it should use; None where that is not known.

    JAX takes the one with the task's number on its node, and so leaves the others idle where tasks are fewer than GPUs,
    and finds none where SLURM has given each task GPUs of its own, which are numbered from 0 for each. Tasks that see
    the same GPUs share them evenly here.
    """
    if "SLURM_LOCALID" not in environment:
        return None
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    seen = len(visible.split(",")) if visible else int(environment.get("SLURM_GPUS_ON_NODE", "0"))
    tasks = _tasks_on(int(environment.get("SLURM_NODEID", "0")), environment)
    if not seen or not tasks:
        return None
    if seen == _number(environment.get("SLURM_GPUS_PER_TASK", "")) or seen < tasks:
        return list(range(seen))
    task, share = int(environment["SLURM_LOCALID"]), seen // tasks
    return list(range(task * share, (task + 1) * share))


def _tasks_on(node: int, environment: Mapping[str, str]) -> int:
    """Return the tasks of this step on a node, from text like "2(x3),1": two on each of three nodes, one on another."""
    text = environment.get("SLURM_STEP_TASKS_PER_NODE", environment.get("SLURM_TASKS_PER_NODE", ""))
    nodes: list[int] = []
    for tasks, times in re.findall(r"(\d+)(?:\(x(\d+)\))?", text):
        nodes += [int(tasks)] * int(times or 1)
    return nodes[node] if node < len(nodes) else 0


def _number(text: str) -> int:
    """Return the count in "4" or "a100:4"."""
    found = re.search(r"(\d+)$", text)
    return int(found.group(1)) if found else 0
