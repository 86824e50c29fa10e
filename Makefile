# The two commands of the README.

.PHONY: demo test

demo:
	cargo run --quiet -- demo

test:
	cargo test --quiet
