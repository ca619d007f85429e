//! What this process costs, as Linux tells it.

use crate::bench::Failure;

/// Memory of this process that is in use, in bytes.
///
/// # Errors
/// Where there is no `/proc`.
pub fn resident_bytes() -> Result<u64, Failure> {
    Ok(number("/proc/self/status", "VmRSS:")? * 1024)
}

/// The most memory that this process ever used, in bytes.
///
/// # Errors
/// Where there is no `/proc`.
pub fn resident_most_bytes() -> Result<u64, Failure> {
    Ok(number("/proc/self/status", "VmHWM:")? * 1024)
}

/// Files and connections that this process has open.
///
/// # Errors
/// Where there is no `/proc`.
pub fn open_files() -> Result<usize, Failure> {
    Ok(std::fs::read_dir("/proc/self/fd")?.count())
}

/// Bytes that this process made the disk deliver.
///
/// # Errors
/// Where there is no `/proc`.
pub fn read_bytes() -> Result<u64, Failure> {
    number("/proc/self/io", "read_bytes:")
}

/// Linux counts the time of a process in hundredths of a second.
const TICKS_PER_SECOND: f64 = 100.0;

/// Seconds that this process has computed, on all its threads.
///
/// # Errors
/// Where there is no `/proc`.
pub fn cpu_seconds() -> Result<f64, Failure> {
    let text = std::fs::read_to_string("/proc/self/stat")?;
    // The name of the program stands in parentheses and may hold anything.
    let (_, fields) = text.rsplit_once(')').ok_or("no such field")?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks = || -> Result<f64, Failure> { Ok(fields.next().ok_or("no such field")?.parse()?) };
    Ok((ticks()? + ticks()?) / TICKS_PER_SECOND)
}

/// A number of a file, in the line that begins with `word`.
fn number(file: &str, word: &str) -> Result<u64, Failure> {
    let text = std::fs::read_to_string(file)?;
    let line = text.lines().find_map(|line| line.strip_prefix(word)).ok_or("no such line")?;
    Ok(line.split_whitespace().next().ok_or("no number")?.parse()?)
}
