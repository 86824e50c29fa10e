//! Replaces a file so that a reader sees the old one or the new one, whole, whatever breaks in between.
