//! Asks the daemon: blocking HTTP/1.1 over a unix socket, building nothing that one request does not need.
