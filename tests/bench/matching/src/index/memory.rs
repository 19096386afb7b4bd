//! How much memory this process holds and how much there is, from Linux's `/proc`.

use std::fs;

use anyhow::{Context as _, Result};

/// Bytes of this process in memory.
pub(crate) fn resident_bytes() -> Result<u64> {
    bytes_of("/proc/self/status", "VmRSS:")
}

/// Bytes that programs can still take without anything being swapped out.
pub(crate) fn available_bytes() -> Result<u64> {
    bytes_of("/proc/meminfo", "MemAvailable:")
}

/// Bytes of memory in the machine.
pub(crate) fn total_bytes() -> Result<u64> {
    bytes_of("/proc/meminfo", "MemTotal:")
}

fn bytes_of(file: &str, field: &str) -> Result<u64> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
    field_bytes(&text, field).with_context(|| format!("{file} has no {field}"))
}

fn field_bytes(text: &str, field: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(field))?;
    rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_kibibytes() {
        let text = "VmSize:\t  9 kB\nVmRSS:\t  1234 kB\nThreads:\t2\n";
        assert_eq!(field_bytes(text, "VmRSS:"), Some(1234 * 1024));
        assert_eq!(field_bytes(text, "Threads:"), None);
    }

    #[test]
    fn memory_that_is_written_shows() {
        let before = resident_bytes().unwrap();
        let block = vec![1_u8; 64 << 20];
        assert!(resident_bytes().unwrap() >= before + (48 << 20) + block.len() as u64 / (64 << 20));
        assert!(available_bytes().unwrap() <= total_bytes().unwrap());
    }
}
