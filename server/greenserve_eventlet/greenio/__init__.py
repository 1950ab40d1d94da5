"""Green sockets and pipes under eventlet's names."""
