//! The machine and the day of a measurement, in words.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The day, the processor, the memory and what else goes on, in one line.
pub(super) fn here_and_now() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZeroUsize::get);
    let (cpu, memory, load) = (read("/proc/cpuinfo"), read("/proc/meminfo"), read("/proc/loadavg"));
    format!("{}, {}", today(), words(cores, &cpu, &memory, &load))
}

fn words(cores: usize, cpu: &str, memory: &str, load: &str) -> String {
    let model = field(cpu, "model name").unwrap_or("unknown processor");
    let kilobytes = field(memory, "MemTotal").and_then(|total| total.trim_end_matches(" kB").parse().ok());
    let memory = kilobytes.map_or("unknown memory".to_owned(), |kilobytes: u64| {
        format!("{} GB of memory", kilobytes.div_ceil(1024 * 1024))
    });
    let load = load.split(' ').next().filter(|load| !load.is_empty()).unwrap_or("unknown");
    format!("{cores} cores, {model}, {memory}, load average {load}")
}

/// The first value of a file of names and values.
fn field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_once(':').map(|(_, value)| value.trim())
}

#[expect(clippy::disallowed_methods, reason = "a report has a date")]
fn today() -> String {
    Timestamp::now().to_zoned(TimeZone::UTC).date().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_told_as_far_as_it_is_known() {
        let cpu = "processor\t: 0\nmodel name\t: Fast One\nprocessor\t: 1\nmodel name\t: Fast One\n";
        let told = words(2, cpu, "MemTotal:       24683812 kB\nMemFree: 1 kB\n", "0.52 0.40 1.00 1/99 7\n");
        assert_eq!(told, "2 cores, Fast One, 24 GB of memory, load average 0.52");
        let told = words(2, "", "", "");
        assert_eq!(told, "2 cores, unknown processor, unknown memory, load average unknown");
    }
}
