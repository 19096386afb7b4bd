//! Node cards: which peer keys and addresses belong to a member, for at most 30 days (SPEC §9).
//!
//! A card is a signed note by the member's card key. It changes nothing about membership; it only says
//! where a member's nodes are and under which network identity they speak.

use super::rules::{keys, shown};
use super::{MemberId, Roster};
use crate::keys::{PublicKey, SecretKey, Signer, SignerError};
use crate::limits::{NODE_CARD_LIFETIME_MAX_S, NODE_CARD_MAX_BYTES};
use crate::note::{Note, NoteAlgorithm, NoteError, NoteKey, sign_note, sign_note_by};
use std::fmt::Write as _;

const HEADER: &str = "hashpact/node-card/v1";
/// Most nodes on one card.
const CARD_NODES_MAX: usize = 8;
/// Most addresses of one node.
const CARD_ADDRESSES_MAX: usize = 8;
/// How far a verifier's clock may be behind the signer's before it refuses a fresh card, in seconds.
const CARD_CLOCK_SLACK_S: u64 = 3_600;
/// Longest address, in bytes.
const CARD_ADDRESS_MAX_BYTES: usize = 256;

/// One node of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardNode {
    /// The Ed25519 key of its libp2p identity.
    pub peer_key: PublicKey,
    /// Multiaddresses in text form.
    pub addresses: Vec<String>,
}

/// What a card says; not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeCard {
    /// Consortium id.
    pub consortium: String,
    /// The member.
    pub member: MemberId,
    /// Grows with every card of the member.
    pub sequence: u64,
    /// When it stops counting, seconds since 1970.
    pub expires_s: u64,
    /// The member's nodes.
    pub nodes: Vec<CardNode>,
}

/// Why a card is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CardError {
    /// Too long.
    #[error("a node card of {got} bytes; at most {NODE_CARD_MAX_BYTES} are allowed")]
    Length {
        /// Its length.
        got: usize,
    },
    /// The note or its signature.
    #[error("node card: {0}")]
    Note(#[from] NoteError),
    /// A line of another form.
    #[error("node card, line {line}: {rule}")]
    Line {
        /// From 1.
        line: usize,
        /// What must stand there.
        rule: &'static str,
    },
    /// Of another consortium.
    #[error("a node card of {0}")]
    OtherConsortium(String),
    /// The roster does not list the member.
    #[error("member {0} is not in the roster")]
    UnknownMember(MemberId),
    /// The member has left.
    #[error("member {0} has left the consortium")]
    MemberLeft(MemberId),
    /// A peer key that the roster lists for something else.
    #[error("peer key {key} is also the {role}")]
    PeerKeyInRoster {
        /// The key.
        key: PublicKey,
        /// What the roster lists it for.
        role: String,
    },
    /// Expired.
    #[error("the node card expired at {expires_s}; it is {now_s}")]
    Expired {
        /// Its expiry.
        expires_s: u64,
        /// Now.
        now_s: u64,
    },
    /// Valid for longer than a card may be.
    #[error("the node card is valid for {seconds} s more; at most {NODE_CARD_LIFETIME_MAX_S} are allowed")]
    TooLongValid {
        /// From now on.
        seconds: u64,
    },
}

impl NodeCard {
    fn text(&self) -> String {
        let mut text = format!(
            "{HEADER}\nconsortium {}\nmember {}\nsequence {}\nexpires {}\n",
            self.consortium, self.member, self.sequence, self.expires_s
        );
        for node in &self.nodes {
            writeln!(text, "node {}", node.peer_key).expect("a string takes every write");
            for address in &node.addresses {
                writeln!(text, "address {address}").expect("a string takes every write");
            }
        }
        text
    }

    fn parse_text(text: &str) -> Result<Self, CardError> {
        let mut lines = (1..).zip(text.split_terminator('\n'));
        let mut value = |line: usize, keyword: &'static str, rule: &'static str| {
            let rest = lines.next().and_then(|(_, text)| text.strip_prefix(keyword));
            rest.ok_or(CardError::Line { line, rule })
        };
        if !value(1, HEADER, "must be hashpact/node-card/v1")?.is_empty() {
            return Err(CardError::Line { line: 1, rule: "must be hashpact/node-card/v1" });
        }
        let consortium = value(2, "consortium ", "must be: consortium <id>")?;
        let rule = "must be: member <id>";
        let member =
            MemberId::parse(value(3, "member ", rule)?).map_err(|_| CardError::Line { line: 3, rule })?;
        let rule = "must be: sequence <number>";
        let sequence = number(value(4, "sequence ", rule)?, 4, rule)?;
        let rule = "must be: expires <seconds>";
        let expires_s = number(value(5, "expires ", rule)?, 5, rule)?;
        let mut nodes: Vec<CardNode> = Vec::new();
        for (line, text) in lines {
            read_node_line(&mut nodes, line, text)?;
        }
        if nodes.is_empty() {
            return Err(CardError::Line { line: 6, rule: "must be: node <peer key>" });
        }
        let card = Self { consortium: consortium.to_owned(), member, sequence, expires_s, nodes };
        if card.text() != text {
            return Err(CardError::Line { line: 1, rule: "starts a card that is not in canonical form" });
        }
        Ok(card)
    }
}

fn read_node_line(nodes: &mut Vec<CardNode>, line: usize, text: &str) -> Result<(), CardError> {
    let refuse = |rule| CardError::Line { line, rule };
    if let Some(hex) = text.strip_prefix("node ") {
        let peer_key = PublicKey::from_hex(hex).map_err(|_| refuse("must be: node <peer key>"))?;
        if nodes.iter().any(|node| node.peer_key == peer_key) {
            return Err(refuse("names a node that is listed already"));
        }
        if nodes.len() >= CARD_NODES_MAX {
            return Err(refuse("is one node too many"));
        }
        nodes.push(CardNode { peer_key, addresses: Vec::new() });
        return Ok(());
    }
    let address = text.strip_prefix("address ").ok_or_else(|| refuse("must be a node or an address"))?;
    let node = nodes.last_mut().ok_or_else(|| refuse("is an address without a node"))?;
    if node.addresses.len() >= CARD_ADDRESSES_MAX {
        return Err(refuse("is one address too many"));
    }
    if node.addresses.iter().any(|listed| listed == address) {
        return Err(refuse("names an address that is listed already"));
    }
    let fits = address.len() <= CARD_ADDRESS_MAX_BYTES
        && address.starts_with('/')
        && address.bytes().all(|byte| byte.is_ascii_graphic());
    if !fits {
        return Err(refuse("must be a multiaddress of at most 256 bytes"));
    }
    node.addresses.push(address.to_owned());
    Ok(())
}

fn number(text: &str, line: usize, rule: &'static str) -> Result<u64, CardError> {
    let parsed = text.parse::<u64>().ok().filter(|parsed| parsed.to_string() == text);
    parsed.ok_or(CardError::Line { line, rule })
}

fn signer(consortium: &str, member: &MemberId) -> String {
    format!("{consortium}/{member}/card")
}

/// Signs a card with the member's card key. A card that breaks a rule of SPEC §9 verifies nowhere:
/// whoever makes one verifies it before sending it.
#[must_use]
pub fn sign_card(card: &NodeCard, key: &SecretKey) -> Vec<u8> {
    let text = card.text();
    let signature = sign_note(&text, &signer(&card.consortium, &card.member), key);
    Note { text, signatures: vec![signature] }.encode()
}

/// The same by whoever holds the card key.
///
/// # Errors
/// [`SignerError`]: there is no signature.
pub fn sign_card_by(card: &NodeCard, key: &Signer) -> Result<Vec<u8>, SignerError> {
    let text = card.text();
    let signature = sign_note_by(&text, &signer(&card.consortium, &card.member), key)?;
    Ok(Note { text, signatures: vec![signature] }.encode())
}

/// A card that verified under a roster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedCard {
    card: NodeCard,
}

impl VerifiedCard {
    /// Verifies a card of a member that takes part, at a time.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn verify(bytes: &[u8], roster: &Roster, now_s: u64) -> Result<Self, CardError> {
        if bytes.len() > NODE_CARD_MAX_BYTES {
            return Err(CardError::Length { got: bytes.len() });
        }
        let note = Note::parse(bytes)?;
        let card = NodeCard::parse_text(&note.text)?;
        if card.consortium != roster.consortium {
            return Err(CardError::OtherConsortium(shown(&card.consortium)));
        }
        let Some(member) = roster.member(&card.member) else {
            return Err(CardError::UnknownMember(card.member));
        };
        if !member.is_active() {
            return Err(CardError::MemberLeft(card.member));
        }
        note.verify(&NoteKey {
            name: signer(&card.consortium, &card.member),
            algorithm: NoteAlgorithm::Ed25519,
            key: member.card_key,
        })?;
        // One key, one role (SPEC §3.1); the other roles stand in the roster.
        let in_roster = keys(roster).find(|(key, ..)| card.nodes.iter().any(|node| node.peer_key == *key));
        if let Some((key, role, _)) = in_roster {
            return Err(CardError::PeerKeyInRoster { key, role: role.to_string() });
        }
        if card.expires_s <= now_s {
            return Err(CardError::Expired { expires_s: card.expires_s, now_s });
        }
        let seconds = card.expires_s - now_s;
        if seconds > NODE_CARD_LIFETIME_MAX_S + CARD_CLOCK_SLACK_S {
            return Err(CardError::TooLongValid { seconds });
        }
        Ok(Self { card })
    }

    /// What it says.
    #[must_use]
    pub const fn card(&self) -> &NodeCard {
        &self.card
    }
}
