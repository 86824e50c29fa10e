//! The one binary; everything is in the library, so that benches and fuzzers reach it too.

use std::alloc::System;
use std::process::ExitCode;

use zeroizing_alloc::ZeroAlloc;

/// Wipes whatever is freed: libraries copy a token into buffers of which nobody here knows.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> ExitCode {
    keepfresh::cli::main()
}
