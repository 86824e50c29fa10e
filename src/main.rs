//! The one binary; everything is in the library, so that benches and fuzzers reach it too.

use std::process::ExitCode;

use dlmalloc::GlobalDlmalloc;
use zeroizing_alloc::ZeroAlloc;

/// Wipes whatever is freed: libraries copy a token into buffers of which nobody here knows. One heap for all threads, of
/// which most live for seconds and would leave theirs behind.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<GlobalDlmalloc> = ZeroAlloc(GlobalDlmalloc);

fn main() -> ExitCode {
    keepfresh::main()
}
