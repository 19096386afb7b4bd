//! Metrics of the feed of changes and of webhooks.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// One webhook.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct HookLabel {
    /// Its name in the configuration.
    pub hook: String,
}

/// What the feed and its webhooks count.
#[derive(Default)]
pub struct FeedMetrics {
    /// Changes that are kept.
    pub kept: Gauge,
    /// Changes that wait to be written.
    pub waiting: Gauge,
    /// Deliveries that were accepted.
    pub delivered: Family<HookLabel, Counter>,
    /// Attempts that failed.
    pub failed: Family<HookLabel, Counter>,
    /// Deliveries that were given up.
    pub dead: Family<HookLabel, Counter>,
    /// Changes behind the position of a webhook.
    pub behind: Family<HookLabel, Gauge>,
    /// Since when a webhook fails.
    pub failing_since: Family<HookLabel, Gauge>,
}

impl FeedMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("changes_kept", "Changes of the feed that are kept", self.kept.clone());
        registry.register(
            "changes_waiting",
            "Changes that wait to be written to the feed",
            self.waiting.clone(),
        );
        registry.register("webhook_deliveries", "Deliveries that a webhook accepted", self.delivered.clone());
        registry.register("webhook_failures", "Attempts to deliver that failed", self.failed.clone());
        registry.register(
            "webhook_dead_letters",
            "Deliveries that were given up and stand in data/webhooks: alarm when it grows",
            self.dead.clone(),
        );
        registry.register(
            "webhook_behind",
            "Changes that a webhook was not told of yet",
            self.behind.clone(),
        );
        registry.register(
            "webhook_failing_since_timestamp_seconds",
            "Since when no delivery was accepted, in seconds since 1970; 0 if the last one was",
            self.failing_since.clone(),
        );
    }
}
