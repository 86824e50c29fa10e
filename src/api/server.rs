//! Serves the socket: parses, knows the caller, asks the supervisor, answers with JSON or an RFC 9457 problem document.
