"""What a process that trains stacks imports while it waits for the first; an embedded Ray imports this module there."""

from raydnn.launch.worker.importing import collector_resting

with collector_resting():
    import raydnn.launch.engine.on_ray.trainable  # noqa: F401
