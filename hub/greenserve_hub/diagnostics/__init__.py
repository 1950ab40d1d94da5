"""Looking into a running process: dumps, the watchdog, backdoors, tracing."""
