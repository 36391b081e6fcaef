//! Building blocks: counters and gauges split by a closed label, and the registry with our naming rules.

use prometheus_client::{
    encoding::EncodeMetric,
    metrics::{
        counter::Counter,
        family::{Family, MetricConstructor},
        gauge::Gauge,
        histogram::Histogram,
    },
    registry::{Metric, Registry, Unit},
};

use super::{Seconds, labels::Label};

/// Makes the histograms of a split.
#[derive(Clone)]
struct Buckets(Box<[f64]>);

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

/// One label with a value from a closed set.
type OneLabel = [(&'static str, &'static str); 1];

/// A metric for each value of a label, all of them there from the start.
#[derive(Debug, Clone)]
pub struct Split<L, M> {
    parts: Box<[(L, M)]>,
    unlisted: M,
}

impl<L: Label, M> Split<L, M> {
    /// The metric of one value.
    pub fn of(&self, label: L) -> &M {
        self.parts.iter().find(|(known, _)| *known == label).map_or(&self.unlisted, |(_, metric)| metric)
    }
}

/// Registers metrics. Names lack the prefix, the unit and `_total`: the encoder adds them.
pub(super) struct Registrar<'a>(pub(super) &'a mut Registry);

impl Registrar<'_> {
    pub(super) fn add<M: Metric + Clone + Default>(&mut self, name: &str, help: &str) -> M {
        let metric = M::default();
        self.0.register(name, help, metric.clone());
        metric
    }

    pub(super) fn bytes<M: Metric + Clone + Default>(&mut self, name: &str, help: &str) -> M {
        let metric = M::default();
        self.0.register_with_unit(name, help, Unit::Bytes, metric.clone());
        metric
    }

    pub(super) fn seconds<M: Metric + Clone + Default>(&mut self, name: &str, help: &str) -> M {
        let metric = M::default();
        self.0.register_with_unit(name, help, Unit::Seconds, metric.clone());
        metric
    }

    pub(super) fn histogram(&mut self, name: &str, help: &str, buckets: &[f64]) -> Histogram {
        let histogram = Histogram::new(buckets.iter().copied());
        self.0.register_with_unit(name, help, Unit::Seconds, histogram.clone());
        histogram
    }

    /// A histogram of counts.
    pub(super) fn sizes(&mut self, name: &str, help: &str, buckets: &[f64]) -> Histogram {
        let histogram = Histogram::new(buckets.iter().copied());
        self.0.register(name, help, histogram.clone());
        histogram
    }

    /// A histogram of seconds for each value of a label.
    pub(super) fn histograms<L: Label>(&mut self, name: &str, help: &str, buckets: &[f64]) -> Split<L, Histogram> {
        let family = Family::<OneLabel, Histogram, Buckets>::new_with_constructor(Buckets(buckets.into()));
        self.0.register_with_unit(name, help, Unit::Seconds, family.clone());
        parts_of(L::all(), &family, Buckets(buckets.into()).new_metric())
    }

    /// Gauges of seconds for each value of a label.
    pub(super) fn seconds_of<L: Label>(&mut self, name: &str, help: &str) -> Split<L, Seconds> {
        let (parts, family) = parts(L::all());
        self.0.register_with_unit(name, help, Unit::Seconds, family);
        parts
    }

    /// Counters of octets for each value of a label.
    pub(super) fn byte_counters<L: Label>(&mut self, name: &str, help: &str) -> Split<L, Counter> {
        let (parts, family) = parts(L::all());
        self.0.register_with_unit(name, help, Unit::Bytes, family);
        parts
    }

    pub(super) fn counters<L: Label>(&mut self, name: &str, help: &str) -> Split<L, Counter> {
        self.split(name, help, L::all())
    }

    /// Gauges of octets for some values only.
    pub(super) fn bytes_of<L: Label>(&mut self, name: &str, help: &str, labels: Vec<L>) -> Split<L, Gauge> {
        let (parts, family) = parts(labels);
        self.0.register_with_unit(name, help, Unit::Bytes, family);
        parts
    }

    /// Counters for some values only.
    pub(super) fn split<L: Label, M>(&mut self, name: &str, help: &str, labels: Vec<L>) -> Split<L, M>
    where
        M: Metric + Clone + Default + EncodeMetric,
        Family<OneLabel, M>: Metric,
    {
        let (parts, family) = parts(labels);
        self.0.register(name, help, family);
        parts
    }
}

fn parts<L: Label, M: Clone + Default>(labels: Vec<L>) -> (Split<L, M>, Family<OneLabel, M>) {
    let family = Family::<OneLabel, M>::default();
    (parts_of(labels, &family, M::default()), family)
}

fn parts_of<L, M, C>(labels: Vec<L>, family: &Family<OneLabel, M, C>, unlisted: M) -> Split<L, M>
where
    L: Label,
    M: Clone,
    C: MetricConstructor<M>,
{
    let parts = labels.into_iter().map(|label| (label, family.get_or_create_owned(&[(L::NAME, label.value())])));
    Split { parts: parts.collect(), unlisted }
}
