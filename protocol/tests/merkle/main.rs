//! The Merkle tree against an independent crate, a naive reference, and its own negative laws.

mod tiles;
mod trees;
#[path = "../vector_files/mod.rs"]
mod vector_files;

use std::convert::Infallible;

use hashpact_protocol::digest::{LeafHash, NodeHash, Root, hex_decode, leaf_hash, node_hash};
use hashpact_protocol::merkle::{Frontier, HashReader, verify_consistency, verify_inclusion};
use proptest::prelude::*;

fn entry(index: u64) -> [u8; 8] {
    index.to_be_bytes()
}

fn leaf(index: u64) -> LeafHash {
    leaf_hash(&entry(index))
}

/// All complete subtrees over `size` leaves; panics when asked for any other, to accuse the caller.
struct Pyramid(Vec<Vec<NodeHash>>);

impl Pyramid {
    fn new(size: u64) -> Self {
        let mut levels = vec![(0..size).map(|index| leaf(index).into()).collect::<Vec<NodeHash>>()];
        while levels.last().unwrap().len() > 1 {
            let row =
                levels.last().unwrap().chunks_exact(2).map(|pair| node_hash(&pair[0], &pair[1])).collect();
            levels.push(row);
        }
        Self(levels)
    }
}

impl HashReader for Pyramid {
    type Error = Infallible;

    fn node(&self, level: u8, index: u64) -> Result<NodeHash, Infallible> {
        Ok(self.0[usize::from(level)][usize::try_from(index).unwrap()])
    }
}

fn any_hashes(most: usize) -> impl Strategy<Value = Vec<NodeHash>> {
    prop::collection::vec(any::<[u8; 32]>().prop_map(NodeHash::new), 0..most)
}

/// Numbers near the edges as often as numbers in the middle.
fn any_size() -> impl Strategy<Value = u64> {
    (any::<u64>(), 0..64_u32, any::<bool>())
        .prop_map(|(bits, shift, down)| if down { bits >> shift } else { u64::MAX << shift })
}

#[test]
fn vectors() {
    for vector in vector_files::read_area("merkle") {
        let values = |key: &str| {
            let lines = str::from_utf8(&vector.body).unwrap().lines();
            let lines = lines.filter_map(|line| line.split_once(' ')).filter(|line| line.0 == key);
            lines.map(|line| line.1).collect::<Vec<&str>>()
        };
        let number = |key: &str| values(key)[0].parse().unwrap();
        let root = |key: &str| Root::from_hex(values(key)[0]).unwrap();
        let hashes: Vec<NodeHash> =
            values("hash").into_iter().map(|hash| NodeHash::from_hex(hash).unwrap()).collect();
        match vector.get("kind") {
            "roots" => {
                let entries = values("entry");
                let mut frontier = Frontier::empty();
                for (entry, root) in entries.iter().zip(values("root")) {
                    frontier.append(leaf_hash(&hex_decode(entry).unwrap()));
                    assert_eq!(frontier.root().to_hex(), root);
                }
                assert_eq!(frontier.size(), 8);
            }
            "inclusion" => {
                let leaf = LeafHash::from_hex(values("leaf")[0]).unwrap();
                vector.check(&verify_inclusion(
                    &leaf,
                    number("index"),
                    number("size"),
                    &hashes,
                    &root("root"),
                ));
            }
            "consistency" => {
                let (old_root, new_root) = (root("old_root"), root("new_root"));
                vector.check(&verify_consistency(
                    number("old"),
                    &old_root,
                    number("new"),
                    &new_root,
                    &hashes,
                ));
            }
            kind => panic!("{}: unknown kind {kind}", vector.name),
        }
    }
}
