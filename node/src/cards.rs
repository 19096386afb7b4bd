//! `data/card`: the signed card that says where this member's nodes are (SPEC §9).
//!
//! The author signs it from its configuration, at the start and while it runs, before it expires. A read replica has no card
//! key: it keeps the newest card that it was told, and takes one that an operator puts here. Losing the file costs a
//! replica nothing while its author is there. Whoever can write it can make the node unreachable, and no more.

use crate::config::Config;
use crate::driver::now_ms;
use crate::rosters::write_whole;
use anyhow::{Context as _, Result, ensure};
use hashpact_protocol::keys::{PublicKey, Signer};
use hashpact_protocol::limits::NODE_CARD_LIFETIME_MAX_S;
use hashpact_protocol::roster::{CardNode, NodeCard, Roster, VerifiedCard, sign_card_by};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tracing::{error, info, warn};

/// A card with less time left than this is renewed, in seconds.
const RENEW_S: u64 = 10 * 86_400;
/// How often the running node looks whether the file was changed.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// How often the author looks whether its card has to be renewed.
const RENEW_INTERVAL: Duration = Duration::from_secs(3_600);

/// The card of one node.
#[derive(Clone)]
pub struct CardFile {
    path: PathBuf,
    peer: PublicKey,
    /// The card that the author signs, without sequence and expiry; `None` in a read replica.
    signs: Option<(Arc<NodeCard>, Signer)>,
}

impl CardFile {
    /// Of a node with this peer key; `key` is the card key, which only an author has.
    #[must_use]
    pub fn of(config: &Config, consortium: &str, peer: PublicKey, key: Option<Signer>) -> Self {
        let own = CardNode { peer_key: peer, addresses: config.advertised().to_vec() };
        let nodes = std::iter::once(own).chain(config.replicas.iter().cloned()).collect();
        let card = NodeCard {
            consortium: consortium.to_owned(),
            member: config.member.clone(),
            sequence: 0,
            expires_s: 0,
            nodes,
        };
        Self { path: config.card_file(), peer, signs: key.map(|key| (Arc::new(card), key)) }
    }

    /// The card to show under a roster, signed anew if addresses or replicas changed or time runs out. Empty if there is none
    /// yet: of a replica that its author has not given one, or of a new author whose card key the roster does not list.
    ///
    /// # Errors
    /// None is valid and the key that would sign one cannot be asked, or the file cannot be written.
    pub fn current(&self, roster: &Roster) -> Result<Vec<u8>> {
        let now_s = now_ms() / 1_000;
        let held = std::fs::read(&self.path).ok();
        let held = held.and_then(|bytes| Some((VerifiedCard::verify(&bytes, roster, now_s).ok()?, bytes)));
        let held = held.filter(|(card, _)| card.card().nodes.iter().any(|node| node.peer_key == self.peer));
        let Some((card, key)) = self.may_sign(roster) else {
            return Ok(held.map(|(_, bytes)| bytes).unwrap_or_default());
        };
        let mut sequence = now_s;
        if let Some((held, bytes)) = &held {
            let held = held.card();
            if held.nodes == card.nodes && held.expires_s > now_s + RENEW_S {
                return Ok(bytes.clone());
            }
            sequence = sequence.max(held.sequence + 1);
        }
        let expires_s = now_s + NODE_CARD_LIFETIME_MAX_S - 3_600;
        let card = NodeCard { sequence, expires_s, ..card.clone() };
        let bytes = match sign_card_by(&card, key) {
            Ok(bytes) => bytes,
            // An old card tells others where this node is until it expires; one without any is found by those that it dials.
            Err(error) => {
                let (_, bytes) = held.with_context(|| format!("a new node card is needed: {error}"))?;
                error!(%error, "the node card could not be renewed; the one before goes on");
                return Ok(bytes);
            }
        };
        VerifiedCard::verify(&bytes, roster, now_s).context("the node card of this configuration")?;
        self.keep(&bytes)?;
        Ok(bytes)
    }

    /// What this node signs, if the roster lists its key.
    fn may_sign(&self, roster: &Roster) -> Option<(&NodeCard, &Signer)> {
        let (card, key) = self.signs.as_ref()?;
        let listed = roster.member(&card.member).is_some_and(|member| member.card_key == key.public());
        listed.then_some((card.as_ref(), key))
    }

    /// Keeps a card for the next start.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep(&self, card: &[u8]) -> Result<()> {
        write_whole(&self.path, card)
    }

    /// What a replica does with the card that it was told; an empty one says that the newest does not list it.
    pub fn take(&self, card: &[u8]) {
        if card.is_empty() {
            error!(
                peer.key = %self.peer,
                "the newest node card of this member does not list this node: other nodes refuse it. List its peer key in the \
                 author's [[replicas]], or stop it"
            );
        } else if let Err(error) = self.keep(card) {
            warn!(reason = format!("{error:#}"), "the node card could not be kept for the next start");
        } else {
            info!("took a newer node card of this member");
        }
    }

    /// Verifies a card that somebody brings as a file, and keeps it.
    ///
    /// # Errors
    /// The rule that it breaks, or that it is not one for this node.
    pub fn import(&self, card: &[u8], roster: &Roster) -> Result<u64> {
        let now_s = now_ms() / 1_000;
        let verified = VerifiedCard::verify(card, roster, now_s)?;
        ensure!(
            verified.card().nodes.iter().any(|node| node.peer_key == self.peer),
            "the card does not list this node, whose peer key is {}: list it in the author's [[replicas]]",
            self.peer
        );
        if let Ok(held) = std::fs::read(&self.path)
            && let Ok(held) = VerifiedCard::verify(&held, roster, now_s)
        {
            let (old, new) = (held.card().sequence, verified.card().sequence);
            ensure!(old <= new, "the card held is newer: sequence {old}, not {new}; nothing was changed");
        }
        self.keep(card)?;
        Ok(verified.card().sequence)
    }

    /// Tells the card whenever it was changed or renewed, until nobody listens. `roster` gives the one in force.
    pub async fn watch(self, roster: impl Fn() -> Arc<Roster> + Send + 'static, tell: mpsc::Sender<Vec<u8>>) {
        let mut told = std::fs::read(&self.path).unwrap_or_default();
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            if tell.is_closed() {
                return;
            }
            if self.signs.is_some() && renewed.elapsed() >= RENEW_INTERVAL {
                renewed = Instant::now();
                let (file, roster) = (self.clone(), roster());
                if let Ok(Err(error)) = tokio::task::spawn_blocking(move || file.current(&roster)).await {
                    error!(reason = format!("{error:#}"), "the node card could not be renewed");
                }
            }
            let now = std::fs::read(&self.path).unwrap_or_default();
            if now != told && !now.is_empty() && tell.send(now.clone()).await.is_err() {
                return;
            }
            told = now;
        }
    }
}
