//! Metrics of look-ups of models, and of what is listed and registered.

use crate::lookup::Lookup;
use hashpact_protocol::api::ModelMatchResponse;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::time::Duration;

/// How a look-up found something.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct FoundLabel {
    /// `exact`, `lead`, or the verdict of a sketch.
    pub found: String,
}

/// What is counted of models.
pub struct ModelMetrics {
    matches: Counter,
    seconds: Histogram,
    found: Family<FoundLabel, Counter>,
    listings: Gauge,
    registered: Gauge,
    conflicting: Gauge,
    waiting: Gauge,
}

impl Default for ModelMetrics {
    fn default() -> Self {
        Self {
            matches: Counter::default(),
            seconds: Histogram::new(exponential_buckets(0.000_1, 2.0, 16)),
            found: Family::default(),
            listings: Gauge::default(),
            registered: Gauge::default(),
            conflicting: Gauge::default(),
            waiting: Gauge::default(),
        }
    }
}

impl ModelMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("model_matches", "Models looked up", self.matches.clone());
        registry.register("model_match_seconds", "Time per look-up of a model", self.seconds.clone());
        registry.register(
            "model_matches_found",
            "Look-ups of models by what they found: exact, lead, or the best verdict of a sketch",
            self.found.clone(),
        );
        registry.register("model_listings", "Listed models", self.listings.clone());
        registry.register(
            "model_registrations",
            "Models that two independent members registered as benign",
            self.registered.clone(),
        );
        registry.register(
            "model_listings_conflicting",
            "Listed models that members registered as benign: until the panel rules",
            self.conflicting.clone(),
        );
        registry.register(
            "model_registrations_waiting",
            "Registrations that wait for the panel, because the model is listed",
            self.waiting.clone(),
        );
    }

    /// A look-up was answered.
    pub(crate) fn matched(&self, answer: &ModelMatchResponse, took: Duration) {
        self.matches.inc();
        self.seconds.observe(took.as_secs_f64());
        let exact = (answer.exact.total > 0).then_some("exact");
        let lead = (!answer.leads.is_empty()).then_some("lead");
        // They come with the best first.
        let sketch = answer.sketches.first().map(|sketch| sketch.verdict.as_str());
        for found in [exact, lead, sketch].into_iter().flatten() {
            self.found.get_or_create(&FoundLabel { found: found.to_owned() }).inc();
        }
    }

    /// Takes what is listed and registered now.
    pub(super) fn note(&self, lookup: &Lookup) {
        let registry = lookup.models().registry();
        for (gauge, count) in [
            (&self.listings, registry.listings),
            (&self.registered, registry.doubly_registered),
            (&self.conflicting, registry.conflicting),
            (&self.waiting, registry.waiting),
        ] {
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
}
