"""Looking inside a running program: eventlet's debug and backdoor."""
