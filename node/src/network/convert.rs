//! Between our words and libp2p's: keys and peer ids, address text and multiaddresses.
//!
//! A peer is named by its Ed25519 key everywhere in the node. libp2p names it by a peer id, which for
//! this key type *contains* the key (identity multihash), so the two convert without a table. Every
//! other key type is refused, and so is an Ed25519 key that the protocol crate calls weak.
//!
//! An address is `/ip4|ip6|dns|dns4|dns6/…/tcp/PORT` or `…/udp/PORT/quic-v1`, and when it is dialled
//! it may end in `/p2p/PEER`. Other transports are compiled out, so accepting their addresses would
//! only move the error from start-up to the first dial.

use hashpact_protocol::keys::{KeyError, PublicKey};
use libp2p::multiaddr::{Multiaddr, Protocol};
use libp2p::{PeerId, identity};

/// Why a peer id is not one of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerIdError {
    /// The id hashes its key instead of containing it, or contains another type of key.
    #[error("the peer id does not contain an Ed25519 key")]
    NotEd25519,
    /// The key is not one that anybody should trust.
    #[error("the key in the peer id is refused: {0}")]
    Key(#[from] KeyError),
}

/// Why an address cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// Not a multiaddress at all.
    #[error("not a multiaddress: {0}")]
    Syntax(String),
    /// A multiaddress of a shape that this node does not speak.
    #[error("expected /ip4|ip6|dns|dns4|dns6/HOST followed by /tcp/PORT or /udp/PORT/quic-v1")]
    Shape,
    /// Listening needs an interface, not a name.
    #[error("cannot listen on a name; give an IP address of this machine")]
    ListenOnName,
    /// Listening addresses do not name a peer: it is always this node.
    #[error("a listening address must not end in /p2p/…")]
    ListenWithPeer,
    /// Port 0 means "any free port", which nobody can dial.
    #[error("port 0 cannot be dialled")]
    PortZero,
    /// The `/p2p/` part names a peer that we would refuse.
    #[error("its /p2p/ part is refused: {0}")]
    Peer(#[from] PeerIdError),
}

/// An address to dial, with the peer that must answer there if the address says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DialAddress {
    /// Host and transport, without `/p2p/`.
    pub(super) transport: Multiaddr,
    /// Who must answer.
    pub(super) peer: Option<PublicKey>,
}

/// The libp2p identity of a peer key's seed.
pub(super) fn keypair(seed: &[u8; 32]) -> identity::Keypair {
    let mut seed = *seed;
    // `ed25519_from_bytes` wipes the copy that it is given.
    identity::Keypair::ed25519_from_bytes(&mut seed).expect("32 bytes are an Ed25519 seed")
}

/// The peer id that contains this key.
pub(super) fn peer_id(key: &PublicKey) -> PeerId {
    let key = identity::ed25519::PublicKey::try_from_bytes(key.as_bytes())
        .expect("a checked key is a point of the curve");
    identity::PublicKey::from(key).to_peer_id()
}

/// The key in a peer id.
pub(super) fn public_key(peer: &PeerId) -> Result<PublicKey, PeerIdError> {
    const IDENTITY_MULTIHASH: u64 = 0;
    let hash = peer.as_ref();
    if hash.code() != IDENTITY_MULTIHASH {
        return Err(PeerIdError::NotEd25519);
    }
    let key = identity::PublicKey::try_decode_protobuf(hash.digest())
        .map_err(|_| PeerIdError::NotEd25519)?
        .try_into_ed25519()
        .map_err(|_| PeerIdError::NotEd25519)?;
    Ok(PublicKey::from_bytes(key.to_bytes())?)
}

/// Reads an address to listen on. Port 0 takes any free port.
pub(super) fn listen_address(text: &str) -> Result<Multiaddr, AddressError> {
    let parts = parse(text)?;
    match (parts.is_name, parts.peer) {
        (true, _) => Err(AddressError::ListenOnName),
        (false, Some(_)) => Err(AddressError::ListenWithPeer),
        (false, None) => Ok(parts.transport),
    }
}

/// Reads an address to dial.
pub(super) fn dial_address(text: &str) -> Result<DialAddress, AddressError> {
    let parts = parse(text)?;
    if parts.port == 0 {
        return Err(AddressError::PortZero);
    }
    let peer = parts.peer.map(|peer| public_key(&peer)).transpose()?;
    Ok(DialAddress { transport: parts.transport, peer })
}

struct Parts {
    transport: Multiaddr,
    peer: Option<PeerId>,
    is_name: bool,
    port: u16,
}

fn parse(text: &str) -> Result<Parts, AddressError> {
    let mut transport: Multiaddr =
        text.parse().map_err(|error: libp2p::multiaddr::Error| AddressError::Syntax(error.to_string()))?;
    let peer = match transport.iter().last() {
        Some(Protocol::P2p(peer)) => {
            transport.pop();
            Some(peer)
        }
        _ => None,
    };
    let mut parts = transport.iter();
    let is_name = match parts.next() {
        Some(Protocol::Ip4(_) | Protocol::Ip6(_)) => false,
        Some(Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_)) => true,
        _ => return Err(AddressError::Shape),
    };
    let port = match (parts.next(), parts.next(), parts.next()) {
        (Some(Protocol::Tcp(port)), None, None)
        | (Some(Protocol::Udp(port)), Some(Protocol::QuicV1), None) => port,
        _ => return Err(AddressError::Shape),
    };
    Ok(Parts { transport, peer, is_name, port })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hashpact_protocol::keys::SecretKey;

    #[test]
    fn a_key_and_its_peer_id_convert_both_ways() {
        let key = SecretKey::from_seed([5; 32]).public();
        assert_eq!(public_key(&peer_id(&key)), Ok(key));
        assert_eq!(keypair(&[5; 32]).public().to_peer_id(), peer_id(&key));
        // A random peer id is a multihash of random bytes and contains no key.
        assert_eq!(public_key(&PeerId::random()), Err(PeerIdError::NotEd25519));
    }

    #[test]
    fn a_weak_key_in_a_peer_id_is_refused() {
        // The neutral element, y = 1: a point of order one, under which anything verifies.
        let mut neutral = [0_u8; 32];
        neutral[0] = 1;
        let key = identity::ed25519::PublicKey::try_from_bytes(&neutral).expect("it is a point");
        let peer = identity::PublicKey::from(key).to_peer_id();
        assert_eq!(public_key(&peer), Err(PeerIdError::Key(KeyError::SmallOrder)));
    }

    #[test]
    fn addresses_are_read_or_refused_with_the_rule() {
        let key = SecretKey::from_seed([6; 32]).public();
        let peer = peer_id(&key);
        let dial = |text: &str| dial_address(text);
        assert_eq!(dial(&format!("/ip4/10.0.0.1/tcp/7/p2p/{peer}")).map(|a| a.peer), Ok(Some(key)));
        assert_eq!(dial("/dns4/north.example/udp/7/quic-v1").map(|a| a.peer), Ok(None));
        assert!(matches!(dial("10.0.0.1:7"), Err(AddressError::Syntax(_))));
        assert_eq!(dial("/ip4/10.0.0.1/udp/7"), Err(AddressError::Shape));
        assert_eq!(dial("/ip4/10.0.0.1/tcp/7/ws"), Err(AddressError::Shape));
        assert_eq!(dial("/ip4/10.0.0.1/tcp/0"), Err(AddressError::PortZero));
        let hashed = PeerId::random();
        assert_eq!(
            dial(&format!("/ip4/10.0.0.1/tcp/7/p2p/{hashed}")),
            Err(AddressError::Peer(PeerIdError::NotEd25519))
        );
        assert!(listen_address("/ip6/::1/udp/0/quic-v1").is_ok());
        assert_eq!(listen_address("/dns/me/tcp/7"), Err(AddressError::ListenOnName));
        assert_eq!(
            listen_address(&format!("/ip4/0.0.0.0/tcp/7/p2p/{peer}")),
            Err(AddressError::ListenWithPeer)
        );
    }
}
