//! The process as the kernel sees it, read at each scrape. What cannot be read is left out.

use std::{fs, time::SystemTime};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};

/// `process_…`, under the names that every Prometheus client uses.
#[derive(Debug)]
pub(super) struct Process {
    /// Seconds since 1970.
    started: f64,
}

impl Default for Process {
    /// Made when the edge is: nearly the process's start.
    fn default() -> Self {
        Self { started: SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs_f64() }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        if let Some(open) = open_fds() {
            gauge(&mut encoder, "process_open_fds", "Open file descriptors", None, open)?;
        }
        if let Some(max) = max_fds() {
            gauge(&mut encoder, "process_max_fds", "Most file descriptors that may be open", None, max)?;
        }
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        if let Some(resident) = bytes(&status, "VmRSS:") {
            gauge(&mut encoder, "process_resident_memory", "Resident memory", Some(&Unit::Bytes), resident)?;
        }
        if let Some(all) = bytes(&status, "VmSize:") {
            gauge(&mut encoder, "process_virtual_memory", "Virtual memory", Some(&Unit::Bytes), all)?;
        }
        let (name, help, unit) = ("process_start_time", "When the process started, since 1970", Some(&Unit::Seconds));
        ConstGauge::new(self.started).encode(encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?)?;
        let help = "User and system processor time";
        let metric = encoder.encode_descriptor("process_cpu", help, Some(&Unit::Seconds), MetricType::Counter)?;
        ConstCounter::new(cpu_seconds()).encode(metric)
    }
}

fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    value: i64,
) -> Result<(), std::fmt::Error> {
    ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?)
}

/// The directory read is itself open while it is read.
fn open_fds() -> Option<i64> {
    i64::try_from(fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1)).ok()
}

fn max_fds() -> Option<i64> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current?;
    i64::try_from(limit).ok()
}

/// A line of `/proc/self/status`, which counts in KiB.
fn bytes(status: &str, name: &str) -> Option<i64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.parse::<i64>().ok().map(|kib| kib * 1024)
}

#[expect(clippy::cast_precision_loss, reason = "a double holds centuries of microseconds")]
pub(super) fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
