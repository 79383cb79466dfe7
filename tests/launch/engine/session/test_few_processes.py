"""What an embedded Ray leaves away, and that Ray is afterwards as it was."""

from __future__ import annotations

import pytest

from raydnn.launch.engine.session.few_processes import few_processes, idle_processes_used


@pytest.mark.parametrize("verbose", [False, True])
def test_no_autoscaler_and_a_log_monitor_only_for_those_who_look(verbose: bool) -> None:
    from ray._private import node, parameter, services, utils

    def replaced() -> list[object]:
        names = utils.get_dashboard_dependency_error, services.get_node
        return [parameter.RayParams, node.Node.start_api_server, *names]

    before = replaced()
    with few_processes(verbose):
        parameters = parameter.RayParams(include_dashboard=False)
        assert (parameters.no_monitor, parameters.include_log_monitor) == (True, verbose)
        assert utils.get_dashboard_dependency_error() is not None
        assert all(one is not other for one, other in zip(replaced(), before, strict=True))
    assert replaced() == before


def test_trials_need_no_environment_of_their_own() -> None:
    from ray.tune.execution import tune_controller

    class Trainable:
        pass

    before = tune_controller._ActorClassCache
    with idle_processes_used():
        cache = tune_controller._ActorClassCache()
        actor_class = cache.get(Trainable)
        assert cache.get(Trainable) is actor_class
        assert not actor_class._default_options.get("runtime_env")
    assert tune_controller._ActorClassCache is before
    assert before().get(Trainable)._default_options["runtime_env"]
