//! `[changes]` and `[[webhooks]]`.

use super::{ConfigError, value};
use hashpact_protocol::record::Token;
use reqwest::Url;
use serde::Deserialize;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// Most changes that are kept: about 15 GB.
const KEEP_MAX: u64 = 100_000_000;
/// Most webhooks.
const WEBHOOKS_MAX: usize = 16;
/// Longest time before a delivery is given up, in seconds: a year.
const GIVE_UP_MAX_S: u64 = 366 * 86_400;
const GIVE_UP_DEFAULT_S: u64 = 86_400;
/// Every status that a record can have.
pub const STATUSES: [&str; 15] = [
    "active",
    "disputed",
    "contested",
    "conflicting",
    "disowned",
    "retracted",
    "superseded",
    "suspended",
    "lapsed",
    "void",
    "ruled",
    "expired",
    "sealed",
    "erased",
    "held",
];

/// `[changes]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawChanges {
    /// How many changes are kept at least.
    pub keep: u64,
}

impl Default for RawChanges {
    fn default() -> Self {
        Self { keep: 1_000_000 }
    }
}

/// One `[[webhooks]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawWebhook {
    /// Its name: for files, logs and metrics.
    pub name: String,
    /// Where changes are posted to.
    pub url: String,
    /// File with the secret that deliveries are signed with; relative to the configuration file.
    pub secret_file: PathBuf,
    /// Only changes to one of these statuses; empty: all.
    #[serde(default)]
    pub statuses: Vec<String>,
    /// Only changes of what one of these lists makes of a record; empty: all.
    #[serde(default)]
    pub lists: Vec<String>,
    /// After how long without success a delivery is set aside, in seconds.
    #[serde(default = "give_up_default_s")]
    pub give_up_after_s: u64,
}

const fn give_up_default_s() -> u64 {
    GIVE_UP_DEFAULT_S
}

/// A checked webhook.
#[derive(Debug, Clone)]
pub struct WebhookConfig {
    /// Its name: a token.
    pub name: String,
    /// HTTPS, or HTTP on this machine.
    pub url: Url,
    /// File with the secret.
    pub secret_file: PathBuf,
    /// Only changes to one of these statuses; empty: all.
    pub statuses: Vec<String>,
    /// Only changes of what one of these lists makes of a record; empty: all.
    pub lists: Vec<String>,
    /// After how long without success a delivery is set aside, in seconds.
    pub give_up_after_s: u64,
}

pub(super) fn check(
    changes: &RawChanges,
    webhooks: &[RawWebhook],
    base: &Path,
) -> Result<Vec<WebhookConfig>, ConfigError> {
    if !(1..=KEEP_MAX).contains(&changes.keep) {
        return Err(value("changes.keep", &changes.keep.to_string(), &format!("must be 1 to {KEEP_MAX}")));
    }
    if webhooks.len() > WEBHOOKS_MAX {
        let rule = format!("at most {WEBHOOKS_MAX} are allowed");
        return Err(value("webhooks", &webhooks.len().to_string(), &rule));
    }
    for (at, hook) in webhooks.iter().enumerate() {
        if webhooks[..at].iter().any(|other| other.name == hook.name) {
            return Err(value("webhooks.name", &hook.name, "stands twice"));
        }
    }
    webhooks.iter().map(|hook| check_webhook(hook, base)).collect()
}

fn check_webhook(raw: &RawWebhook, base: &Path) -> Result<WebhookConfig, ConfigError> {
    let is_token = |text: &str| Token::new(text).is_ok();
    if !is_token(&raw.name) {
        return Err(value("webhooks.name", &raw.name, "must be 1 to 64 characters a-z 0-9 . _ -"));
    }
    let url = check_url(&raw.url).map_err(|rule| value("webhooks.url", &shown_url(&raw.url), &rule))?;
    if let Some(status) = raw.statuses.iter().find(|status| !STATUSES.contains(&status.as_str())) {
        let rule = format!("must be one of: {}", STATUSES.join(", "));
        return Err(value("webhooks.statuses", status, &rule));
    }
    if let Some(list) = raw.lists.iter().find(|list| !is_token(list)) {
        return Err(value("webhooks.lists", list, "must be names of lists"));
    }
    if !(1..=GIVE_UP_MAX_S).contains(&raw.give_up_after_s) {
        let rule = format!("must be 1 to {GIVE_UP_MAX_S}");
        return Err(value("webhooks.give_up_after_s", &raw.give_up_after_s.to_string(), &rule));
    }
    Ok(WebhookConfig {
        name: raw.name.clone(),
        url,
        secret_file: base.join(&raw.secret_file),
        statuses: raw.statuses.clone(),
        lists: raw.lists.clone(),
        give_up_after_s: raw.give_up_after_s,
    })
}

/// What comes behind the host may be a secret.
fn shown_url(text: &str) -> String {
    let end = text.match_indices('/').nth(2).map_or(text.len(), |(at, _)| at);
    let front = text.get(..end).unwrap_or_default();
    let hidden = front.rsplit_once('@').map_or(front, |(_, host)| host);
    hidden.chars().take(100).collect()
}

fn check_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("is no address: {error}"))?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_loopback =
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    match url.scheme() {
        "https" if !host.is_empty() => {}
        "http" if is_loopback => {}
        _ => return Err("must be https, or http on this machine".to_owned()),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user name or password: deliveries are signed".to_owned());
    }
    if url.fragment().is_some() {
        return Err("must not have a fragment".to_owned());
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(change: impl FnOnce(&mut RawWebhook)) -> Result<WebhookConfig, String> {
        let mut raw = RawWebhook {
            name: "moderation".to_owned(),
            url: "https://hooks.example/x".to_owned(),
            secret_file: "secret".into(),
            statuses: vec!["retracted".to_owned()],
            lists: vec!["confirmed".to_owned()],
            give_up_after_s: 60,
        };
        change(&mut raw);
        check_webhook(&raw, Path::new("base")).map_err(|error| error.to_string())
    }

    #[test]
    fn the_webhook_of_the_manual_is_one() {
        let manual = include_str!("../../FEED.md");
        let text =
            manual.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a block");
        let text = format!("member = \"acme\"\ndata_dir = \"data\"\n{text}");
        let config = crate::config::Config::parse(&text, Path::new("base")).expect("valid");
        assert_eq!(config.webhooks.len(), 1);
    }

    #[test]
    fn what_is_wrong_with_a_webhook_is_told_without_its_secrets() {
        assert_eq!(hook(|_| {}).expect("valid").secret_file, Path::new("base/secret"));
        for url in ["http://127.0.0.1:8/x", "http://[::1]/", "http://localhost:1/", "https://a.example"] {
            assert!(hook(|raw| raw.url = url.to_owned()).is_ok(), "{url}");
        }
        for (url, rule) in [
            ("http://hooks.example/secret", "must be https"),
            ("http://127.0.0.1.example/secret", "must be https"),
            ("ftp://127.0.0.1/secret", "must be https"),
            ("https://u:secret@hooks.example", "user name"),
            ("https://hooks.example/secret#a", "fragment"),
            ("hooks.example", "no address"),
        ] {
            let error = hook(|raw| raw.url = url.to_owned()).expect_err(url);
            assert!(error.contains(rule) && !error.contains("secret"), "{error}");
        }
        assert!(hook(|raw| raw.name = "A".to_owned()).is_err_and(|error| error.contains("webhooks.name")));
        assert!(
            hook(|raw| raw.statuses.push("gone".to_owned()))
                .is_err_and(|error| error.contains("retracted, "))
        );
        assert!(hook(|raw| raw.lists.push("A".to_owned())).is_err());
        assert!(hook(|raw| raw.give_up_after_s = 0).is_err());
    }
}
