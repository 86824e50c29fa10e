//! The only reader of the system's clocks.

use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};

use crate::time::{Instant, Now};

/// Both clocks, read now.
#[expect(clippy::disallowed_methods, reason = "this is the one place that may")]
pub fn now() -> Now {
    Now {
        boot: boottime(),
        wall: Timestamp::now(),
    }
}

/// `CLOCK_BOOTTIME`, which counts suspend and ignores the wall.
pub fn boottime() -> Instant {
    let reading = clock_gettime(ClockId::Boottime);
    Instant::from_millis(
        reading
            .tv_sec
            .saturating_mul(1000)
            .saturating_add(reading.tv_nsec / 1_000_000),
    )
}

/// Names this boot, so that a stored moment can be told from one of another boot.
///
/// # Errors
/// When `/proc` is not there.
pub fn boot_id() -> io::Result<String> {
    // Asked for with every record that is written; a process does not outlive a boot.
    static KNOWN: OnceLock<String> = OnceLock::new();
    if let Some(id) = KNOWN.get() {
        return Ok(id.clone());
    }
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?
        .trim()
        .to_owned();
    Ok(KNOWN.get_or_init(|| id).clone())
}

/// The processor time that this process has used.
pub fn processor_time() -> Duration {
    let reading = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        u64::try_from(reading.tv_sec).unwrap_or(0),
        u32::try_from(reading.tv_nsec).unwrap_or(0),
    )
}
