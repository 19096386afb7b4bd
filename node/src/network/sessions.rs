//! Which connections make up the one session that the driver sees per peer.
//!
//! Two nodes may dial each other at the same moment and end up with two connections; both are kept,
//! and the driver hears of the first one's opening and the last one's end. Nodes dial only peers they
//! are not connected to, so an incoming connection tells that the peer has lost what it dialled
//! before, and, if it comes too late to have crossed a dial of ours, what we dialled as well (it was
//! restarted, or its network changed). Over QUIC those would look alive for seconds more, and half
//! of our requests would vanish in them; so they are closed, and the driver sees the session end and
//! a new one begin. (A node that dials one peer by two names at once sees that, once.)

use std::collections::HashMap;

use hashpact_protocol::keys::PublicKey;
use libp2p::PeerId;
use libp2p::swarm::ConnectionId;

use super::gate::Opener;

/// Most connections that one peer keeps.
pub(super) const CONNECTIONS_PER_PEER_MAX: usize = 2;
/// A connection that we dialled within this time of an incoming one has crossed it on the way.
const SIMULTANEOUS_MS: u64 = 3_000;

#[derive(Debug, Clone, Copy)]
struct Live {
    id: ConnectionId,
    opener: Opener,
    since_ms: u64,
}

#[derive(Debug)]
struct Session {
    key: PublicKey,
    live: Vec<Live>,
}

/// What a new connection means.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Opened {
    /// It begins a session.
    pub(super) begins: bool,
    /// It ends the session that was there.
    pub(super) ends_previous: bool,
    /// Connections to close now; perhaps the new one itself.
    pub(super) close: Vec<ConnectionId>,
}

/// All sessions.
#[derive(Debug, Default)]
pub(super) struct Sessions(HashMap<PeerId, Session>);

impl Sessions {
    pub(super) fn key(&self, peer: &PeerId) -> Option<PublicKey> {
        self.0.get(peer).map(|session| session.key)
    }

    pub(super) fn is_live(&self, peer: &PeerId) -> bool {
        self.0.contains_key(peer)
    }

    pub(super) fn handle_opened(
        &mut self,
        peer: PeerId,
        key: PublicKey,
        id: ConnectionId,
        opener: Opener,
        now_ms: u64,
    ) -> Opened {
        let session = self.0.entry(peer).or_insert_with(|| Session { key, live: Vec::new() });
        let was_live = !session.live.is_empty();
        let mut close = Vec::new();
        if opener == Opener::Them {
            session.live.retain(|live| {
                let crossed = live.opener == Opener::Us && now_ms < live.since_ms + SIMULTANEOUS_MS;
                if !crossed {
                    close.push(live.id);
                }
                crossed
            });
        }
        let ends_previous = was_live && session.live.is_empty();
        if session.live.len() < CONNECTIONS_PER_PEER_MAX {
            session.live.push(Live { id, opener, since_ms: now_ms });
        } else {
            close.push(id);
        }
        Opened { begins: !was_live || ends_previous, ends_previous, close }
    }

    /// The key of the peer whose session ends with this connection, if it does.
    pub(super) fn handle_closed(&mut self, peer: &PeerId, id: ConnectionId) -> Option<PublicKey> {
        let session = self.0.get_mut(peer)?;
        let before = session.live.len();
        session.live.retain(|live| live.id != id);
        if before == 0 || !session.live.is_empty() || before == session.live.len() {
            return None;
        }
        self.0.remove(peer).map(|session| session.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::convert::peer_id;
    use hashpact_protocol::keys::SecretKey;

    fn id(number: usize) -> ConnectionId {
        ConnectionId::new_unchecked(number)
    }

    #[test]
    fn simultaneous_dials_are_one_session() {
        let key = SecretKey::from_seed([1; 32]).public();
        let peer = peer_id(&key);
        let mut sessions = Sessions::default();
        let first = sessions.handle_opened(peer, key, id(1), Opener::Us, 0);
        assert_eq!(first, Opened { begins: true, ends_previous: false, close: vec![] });
        let second = sessions.handle_opened(peer, key, id(2), Opener::Them, 100);
        assert_eq!(second, Opened { begins: false, ends_previous: false, close: vec![] });
        let third = sessions.handle_opened(peer, key, id(3), Opener::Us, 200);
        assert_eq!(third.close, vec![id(3)], "a third is one too many");
        assert_eq!(sessions.handle_closed(&peer, id(3)), None);
        assert_eq!(sessions.handle_closed(&peer, id(1)), None);
        assert!(sessions.is_live(&peer));
        assert_eq!(sessions.handle_closed(&peer, id(2)), Some(key));
        assert!(!sessions.is_live(&peer));
        assert_eq!(sessions.handle_closed(&peer, id(2)), None);
    }

    #[test]
    fn a_late_incoming_connection_replaces_what_the_peer_has_lost() {
        let key = SecretKey::from_seed([1; 32]).public();
        let peer = peer_id(&key);
        let mut sessions = Sessions::default();
        sessions.handle_opened(peer, key, id(1), Opener::Us, 0);
        sessions.handle_opened(peer, key, id(2), Opener::Them, 10);
        let late = sessions.handle_opened(peer, key, id(3), Opener::Them, 20_000);
        assert_eq!(late, Opened { begins: true, ends_previous: true, close: vec![id(1), id(2)] });
        assert_eq!(sessions.handle_closed(&peer, id(1)), None, "they no longer count");
        assert_eq!(sessions.handle_closed(&peer, id(2)), None);
        assert_eq!(sessions.handle_closed(&peer, id(3)), Some(key));
        // However soon: nobody dials twice unless the first was lost. Ours may still have crossed it.
        sessions.handle_opened(peer, key, id(6), Opener::Them, 0);
        let again = sessions.handle_opened(peer, key, id(7), Opener::Them, 100);
        assert_eq!(again, Opened { begins: true, ends_previous: true, close: vec![id(6)] });
        assert_eq!(sessions.handle_closed(&peer, id(6)), None);
        assert_eq!(sessions.handle_closed(&peer, id(7)), Some(key));
        // One that we dialled says nothing about the peer's view of the others.
        sessions.handle_opened(peer, key, id(4), Opener::Us, 0);
        let ours = sessions.handle_opened(peer, key, id(5), Opener::Us, 20_000);
        assert_eq!(ours, Opened { begins: false, ends_previous: false, close: vec![] });
    }
}
