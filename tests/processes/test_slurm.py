import pytest

from sde_jax.processes.slurm import local_devices

NODE = {"SLURM_NODEID": "0", "SLURM_LOCALID": "0", "SLURM_GPUS_ON_NODE": "4"}


def test_outside_of_slurm_nothing_is_known():
    assert local_devices({}) is None
    assert local_devices({"SLURM_LOCALID": "1", "SLURM_STEP_TASKS_PER_NODE": "2"}) is None


def test_one_task_a_gpu_takes_its_own():
    tasks = [NODE | {"SLURM_LOCALID": str(i), "SLURM_STEP_TASKS_PER_NODE": "4(x2)"} for i in range(4)]
    assert [local_devices(task) for task in tasks] == [[0], [1], [2], [3]]


def test_one_task_a_node_takes_all_gpus_of_it():
    assert local_devices(NODE | {"SLURM_STEP_TASKS_PER_NODE": "1(x8)"}) == [0, 1, 2, 3]


def test_tasks_that_see_the_same_gpus_share_them():
    tasks = [NODE | {"SLURM_LOCALID": i, "SLURM_STEP_TASKS_PER_NODE": "2"} for i in "01"]
    assert [local_devices(task) for task in tasks] == [[0, 1], [2, 3]]


def test_gpus_that_slurm_gave_to_a_task_alone_are_numbered_from_zero():
    own = NODE | {"SLURM_LOCALID": "3", "SLURM_STEP_TASKS_PER_NODE": "4", "CUDA_VISIBLE_DEVICES": "3"}
    assert local_devices(own) == [0]
    two = NODE | {"SLURM_LOCALID": "1", "SLURM_STEP_TASKS_PER_NODE": "2", "CUDA_VISIBLE_DEVICES": "2,3"}
    assert local_devices(two | {"SLURM_GPUS_PER_TASK": "a100:2"}) == [0, 1]


@pytest.mark.parametrize(("node", "expected"), [("0", [0, 1]), ("2", [0, 1]), ("3", [0, 1, 2, 3])])
def test_tasks_are_counted_on_the_nodes_own_entry(node, expected):
    assert local_devices(NODE | {"SLURM_NODEID": node, "SLURM_TASKS_PER_NODE": "2(x3),1"}) == expected
