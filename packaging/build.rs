//! Takes the unwinder from the compiler's archive instead of `libgcc_s.so.1`: to load that costs each start of a command a
//! tenth of a millisecond, which is a tenth of all that `keepfresh token` takes.

#![expect(clippy::disallowed_methods, reason = "the file is for the linker, which runs later")]

use std::path::PathBuf;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=packaging/build.rs");
    if env::var("CARGO_CFG_TARGET_ENV").as_deref() != Ok("gnu") {
        return Ok(());
    }
    let directory = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    println!("cargo::rustc-link-search=native={}", directory.display());
    // The standard library asks the linker for `gcc_s`, which finds this first.
    fs::write(directory.join("libgcc_s.so"), "INPUT(-lgcc_eh -lgcc)\n")
}
