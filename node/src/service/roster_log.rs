//! The roster log as C2SP tlog-tiles has it: a tree over the texts of all versions, small enough to be
//! hashed anew for each request.

use super::{Service, ServiceError, read};
use crate::export::Holder;
use hashpact_protocol::bundle::policy;
use hashpact_protocol::digest::{NodeHash, leaf_hash, node_hash};
use hashpact_protocol::merkle::{TILE_WIDTH, TileId, encode_bundle, encode_tile};
use hashpact_protocol::roster::{MemberId, SignedRoster};
use std::sync::Arc;

/// All versions of the roster that this node holds, oldest first.
pub struct RosterLog {
    holder: Arc<Holder>,
}

impl Service {
    /// The roster log.
    ///
    /// # Errors
    /// The node is still starting.
    pub fn roster_log(&self) -> Result<RosterLog, ServiceError> {
        let holder = read(&self.inner.holder).clone().ok_or(ServiceError::Loading)?;
        Ok(RosterLog { holder })
    }

    /// The tlog-policy of a member's logs; `None` if the roster in force lists none.
    #[must_use]
    pub fn policy(&self, member: &str) -> Option<String> {
        policy(&self.inner.roster(), &MemberId::parse(member).ok()?)
    }
}

impl RosterLog {
    fn versions(&self) -> &[SignedRoster] {
        self.holder.chain.suffix_from(0)
    }

    /// The newest checkpoint.
    #[must_use]
    pub fn checkpoint(&self) -> Vec<u8> {
        self.versions().last().map(|newest| newest.note.clone()).unwrap_or_default()
    }

    /// A hash tile, if the log has it.
    #[must_use]
    pub fn tile(&self, id: TileId) -> Option<Vec<u8>> {
        let has = TileId::in_tree(id.level, id.index, self.versions().len() as u64)?;
        let first = usize::try_from(id.index).ok()?.checked_mul(usize::from(TILE_WIDTH))?;
        let hashes = self.hashes(id.level);
        let hashes = hashes.get(first..first.checked_add(usize::from(id.width))?)?;
        (id.width <= has.width).then(|| encode_tile(hashes))
    }

    /// A bundle of entries, if the log has it and each is short enough for one.
    #[must_use]
    pub fn entry_bundle(&self, index: u64, width: u16) -> Option<Vec<u8>> {
        let first = usize::try_from(index).ok()?.checked_mul(usize::from(TILE_WIDTH))?;
        let versions = self.versions().get(first..first.checked_add(usize::from(width))?)?;
        encode_bundle(versions.iter().map(|version| version.body.as_slice())).ok()
    }

    /// Roots of the full tiles below a level, or the leaf hashes.
    fn hashes(&self, level: u8) -> Vec<NodeHash> {
        let mut hashes: Vec<NodeHash> =
            self.versions().iter().map(|version| leaf_hash(&version.body).into()).collect();
        for _ in 0..level {
            hashes = hashes.chunks_exact(usize::from(TILE_WIDTH)).map(root).collect();
        }
        hashes
    }
}

fn root(hashes: &[NodeHash]) -> NodeHash {
    match hashes {
        [one] => *one,
        many => {
            let (left, right) = many.split_at(many.len() / 2);
            node_hash(&root(left), &root(right))
        }
    }
}
