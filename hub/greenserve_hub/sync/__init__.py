"""What green threads meet at: events, locks, semaphores, queues, and the same between OS threads."""
