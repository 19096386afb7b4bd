//! What a process of a run spent: processor time by thread, memory, bytes on disk.

use anyhow::{Context as _, Result};
use std::collections::BTreeMap;
use std::path::Path;

/// Processor time in `/proc` is counted in hundredths of a second on every Linux.
const TICKS_PER_S: f64 = 100.0;

/// Processor seconds (user and system) of a process by name of thread; numbers in names are left out, so that
/// the threads of a pool count together. A thread that ended is not counted.
pub(crate) fn thread_seconds(pid: u32) -> Result<BTreeMap<String, f64>> {
    let mut spent = BTreeMap::new();
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let Ok(stat) = std::fs::read_to_string(task?.path().join("stat")) else { continue };
        let (name, seconds) = parse(&stat).context("a line of /proc")?;
        let name: String = name.chars().filter(|c| !c.is_ascii_digit()).collect();
        *spent.entry(name).or_insert(0.0) += seconds;
    }
    Ok(spent)
}

/// Processor seconds of a whole process, ended threads included.
pub(crate) fn seconds(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    Ok(parse(&stat).context("a line of /proc")?.1)
}

/// Name and processor seconds of a `stat` line: the fields behind the name in parentheses are counted from 3.
fn parse(stat: &str) -> Option<(&str, f64)> {
    let (open, close) = (stat.find('(')?, stat.rfind(')')?);
    let fields: Vec<&str> = stat.get(close + 2..)?.split(' ').collect();
    let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some((stat.get(open + 1..close)?, ticks / TICKS_PER_S))
}

/// Largest resident memory of a process so far, in bytes.
pub(crate) fn peak_bytes(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1024.0)
}

/// Bytes of all files below a folder.
pub(crate) fn folder_bytes(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        bytes += if path.is_dir() { folder_bytes(&path)? } else { path.metadata()?.len() };
    }
    Ok(bytes)
}
