"""Green threads, and what they wait for: eventlet's greenthread, greenpool, event, queue, semaphore, timeout, tpool."""
