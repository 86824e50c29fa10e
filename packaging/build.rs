//! What the linker is told: where the unwinder is, and which functions lie next to each other.
//!
//! The unwinder is taken from the compiler's archive instead of `libgcc_s.so.1`: to load that costs each start of a command a
//! tenth of a millisecond, which is a tenth of all that `keepfresh token` takes.
//!
//! What a daemon and its commands use of the program is a quarter of it, and lies scattered; the kernel maps sixteen pages
//! around each one touched. `packaging/layout` lists the functions in use, and the linker puts them together: 3 MB less
//! resident memory. A name that is not there any more is passed over.

#![expect(
    clippy::disallowed_methods,
    reason = "the files are for the linker, which runs later"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=packaging/build.rs");
    println!("cargo::rerun-if-changed=packaging/layout");
    if env::var("CARGO_CFG_TARGET_ENV").as_deref() != Ok("gnu") {
        return Ok(());
    }
    let directory = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    println!("cargo::rustc-link-search=native={}", directory.display());
    // The standard library asks the linker for `gcc_s`, which finds this first.
    fs::write(directory.join("libgcc_s.so"), "INPUT(-lgcc_eh -lgcc)\n")?;
    if env::var("PROFILE").as_deref() == Ok("release") {
        lay_out(&directory)?;
    }
    Ok(())
}

/// Lays the functions out by the list of this target, where there is one and the linker reads it.
fn lay_out(directory: &Path) -> io::Result<()> {
    let (root, target) = (env::var("CARGO_MANIFEST_DIR"), env::var("TARGET"));
    let (root, target) = (root.unwrap_or_default(), target.unwrap_or_default());
    let list = Path::new(&root).join("packaging/layout").join(&target);
    let option = format!(
        "-Wl,--symbol-ordering-file={},--no-warn-symbol-ordering",
        list.display()
    );
    if list.exists() && linker_takes(&option, &target, directory)? {
        println!("cargo::rustc-link-arg-bins={option}");
    }
    Ok(())
}

/// lld and mold do; GNU's linker stops at what it does not know, as all do when a directory's name has a comma.
fn linker_takes(option: &str, target: &str, directory: &Path) -> io::Result<bool> {
    let source = directory.join("probe.rs");
    fs::write(&source, "fn main() {}\n")?;
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc
        .args([
            "--target",
            target,
            "-C",
            &format!("link-arg={option}"),
            "--out-dir",
        ])
        .arg(directory)
        .arg(source);
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        rustc.args(["-C", &format!("linker={linker}")]);
    }
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    rustc.args(flags.split('\x1f').filter(|flag| !flag.is_empty()));
    Ok(rustc.output()?.status.success())
}
