"""Events, locks, semaphores and queues, for green threads and between OS threads."""
