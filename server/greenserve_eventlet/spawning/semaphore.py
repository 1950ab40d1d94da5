"""eventlet.semaphore: greenserve's semaphores."""

from greenserve_hub import BoundedSemaphore, CappedSemaphore, Semaphore

__all__ = ["BoundedSemaphore", "CappedSemaphore", "Semaphore"]
