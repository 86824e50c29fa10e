//! `KEEPFRESH_FUZZ=TARGET keepfresh-fuzz DIRECTORY…` feeds one target of `keepfresh::fuzz` as libFuzzer sees fit.

#![no_main]

use std::sync::LazyLock;

use keepfresh::fuzz::Target;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("KEEPFRESH_FUZZ").expect("KEEPFRESH_FUZZ names a target");
    keepfresh::fuzz::target(&name).unwrap_or_else(|| panic!("there is no target {name}"))
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| TARGET(data));
