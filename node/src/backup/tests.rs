//! Backups of real databases, each damage that their manifest must name, and what a restore refuses.

use super::{Backup, BackupError, Manifest, Restore, back_up, restore};
use crate::config::Config;
use crate::keystore::KeyStore;
use crate::service::backup::checkpoint;
use crate::storage::{LockFile, Store};
use crate::vault::{Hold, Vault};
use hashpact_core::effect::LockState;
use hashpact_protocol::digest::{LeafHash, empty_root};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

struct Node {
    dir: tempfile::TempDir,
    config: Config,
}

impl Node {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("temporary folder");
        let config =
            Config::parse("member = \"north\"\ndata_dir = \"data\"", dir.path()).expect("a configuration");
        fs::create_dir(&config.data_dir).expect("own folder");
        Store::create(&config.database_dir(), "demo-0011223344556677", "north").expect("fresh");
        LockFile::create(&config.lock_file(), &lock()).expect("fresh");
        KeyStore::create(&config.keys_dir()).expect("fresh");
        fs::write(config.tokens_file(), "tokens\n").expect("own file");
        Self { dir, config }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn take(&self, out: &str, keys: Option<&str>) -> Result<Manifest, BackupError> {
        let made = self.path("checkpoint");
        let _ = fs::remove_dir_all(&made);
        fs::create_dir(&made).expect("own folder");
        let store = Store::open(&self.config.database_dir()).expect("sound");
        checkpoint(&store, &lock(), &made).expect("a copy");
        let backup = Backup {
            config: &self.config,
            checkpoint: made,
            taken: "2026-11-30T12:00:00Z".to_owned(),
            out: self.path(out),
            keys_out: keys.map(|keys| self.path(keys)),
        };
        back_up(&backup).map(|taken| taken.manifest)
    }

    fn restore(&self, lock: Option<&Path>) -> Result<u64, BackupError> {
        let asked = Restore {
            config: &self.config,
            from: self.path("backup"),
            keys: Some(self.path("keys")),
            lock: lock.map(Path::to_owned),
            now_ms: 1_800_000_000_000,
        };
        restore(&asked).map(|found| found.stored)
    }
}

fn lock() -> LockState {
    LockState {
        generation: 3,
        origin: "demo-0011223344556677/north/1".to_owned(),
        size: 0,
        root: empty_root(),
        note: Vec::new(),
    }
}

#[test]
fn a_backup_names_every_file_and_comes_back_whole() {
    let node = Node::new();
    let manifest = node.take("backup", Some("keys")).expect("written");
    assert_eq!((manifest.member.as_str(), manifest.generation, manifest.size), ("north", 3, 0));
    assert_eq!(manifest.consortium, "demo-0011223344556677");
    assert!(manifest.files.iter().any(|file| file.path == "tokens" && file.bytes == 7), "{manifest:?}");
    assert!(manifest.files.iter().all(|file| !file.path.ends_with(".key")), "{manifest:?}");
    fs::rename(&node.config.data_dir, node.path("old")).expect("own folder");
    assert_eq!(node.restore(None).expect("whole"), 0);
    assert!(!node.config.lock_file().exists(), "the backup's lock file is never believed");
    assert!(node.config.restored_file().exists());
    KeyStore::open(&node.config.keys_dir()).expect("the keys are back");
    Store::open(&node.config.database_dir()).expect("the database is back");

    // With the machine's newest lock file.
    fs::remove_dir_all(&node.config.data_dir).expect("own folder");
    node.restore(Some(&node.path("old/signed.lock"))).expect("whole");
    assert_eq!(LockFile::open(&node.config.lock_file()).expect("put back").state(), &lock());
}

#[test]
fn what_is_under_a_legal_hold_goes_along_encrypted_and_is_read_again() {
    let node = Node::new();
    let vault = Vault::of(&node.config.data_dir, &node.config.keys);
    let id = LeafHash::new([7; 32]);
    let hold = Hold { record: id.to_hex(), reason: "case 17".to_owned(), since_ms: 1 };
    let holds = BTreeMap::from([(id, hold)]);
    vault.set_holds(&holds).expect("listed");
    vault.keep(&id, &[5; 32], b"a padded payload").expect("kept");
    fs::write(node.config.data_dir.join("held/half.new"), "x").expect("own file");
    let manifest = node.take("backup", Some("keys")).expect("written");
    let held: Vec<_> = manifest.files.iter().filter(|file| file.path.starts_with("held/")).collect();
    assert_eq!(held.len(), 1, "what is half written stays: {held:?}");
    let copied = fs::read(node.path("backup").join(&held[0].path)).expect("own file");
    assert!(!copied.windows(9).any(|window| window == b"a padded "), "encrypted");

    fs::rename(&node.config.data_dir, node.path("old")).expect("own folder");
    node.restore(None).expect("whole");
    assert_eq!(vault.holds().expect("listed"), holds);
    let kept = vault.open(&id).expect("the key is back").expect("kept");
    assert_eq!((kept.salt, kept.padded.as_slice()), ([5; 32], b"a padded payload".as_slice()));
}

#[test]
fn nothing_is_overwritten_and_nothing_is_put_where_something_is() {
    let node = Node::new();
    node.take("backup", Some("keys")).expect("written");
    assert!(matches!(node.take("backup", None), Err(BackupError::Exists(_))));
    assert!(matches!(node.take("other", Some("keys")), Err(BackupError::Exists(_))));
    assert!(matches!(node.take("other", Some("other/keys")), Err(BackupError::KeysInside(_))));
    assert!(!node.path("other").exists());
    assert!(matches!(node.restore(None), Err(BackupError::NotEmpty { .. })));
    fs::remove_dir_all(&node.config.data_dir).expect("own folder");
    fs::create_dir(&node.config.data_dir).expect("own folder");
    fs::write(node.config.data_dir.join("anything"), "").expect("own file");
    let error = node.restore(None).expect_err("not empty");
    assert!(error.to_string().contains("(anything)"), "{error}");
    fs::remove_file(node.config.data_dir.join("anything")).expect("own file");
    let own = node.path("backup/signed.lock");
    assert!(matches!(node.restore(Some(&own)), Err(BackupError::OldLock(_))));
    let short = node.path("short");
    fs::write(&short, "x").expect("own file");
    assert!(matches!(node.restore(Some(&short)), Err(BackupError::File { .. })));
    assert!(fs::read_dir(&node.config.data_dir).expect("own folder").next().is_none(), "still empty");
    node.restore(None).expect("an empty folder is as good as none");
}

#[test]
fn a_manifest_that_makes_no_sense_is_no_backup() {
    let node = Node::new();
    node.take("backup", Some("keys")).expect("written");
    fs::rename(&node.config.data_dir, node.path("old")).expect("own folder");
    let file = node.path("backup/manifest");
    let good = fs::read_to_string(&file).expect("text");
    let cases = [
        (good.replace("hashpact-backup-1", "hashpact-backup-2"), "this program reads"),
        (good.replace("\"database/CURRENT\"", "\"../CURRENT\""), "it names the path \"../CURRENT\""),
        (good.replace("\"tokens\"", "\"/tokens\""), "it names the path \"/tokens\""),
        (good.replace("\"generation\"", "\"generations\""), "unknown field"),
        (good.replace("\"member\": \"north\"", "\"member\": \"south\""), "the backup of member south"),
        (String::new(), "cannot be read"),
    ];
    for (text, says) in cases {
        fs::write(&file, &text).expect("own file");
        let error = node.restore(None).expect_err(says).to_string();
        assert!(error.contains(says), "{says}: {error}");
        assert!(!node.config.data_dir.exists(), "nothing was put anywhere");
    }
    fs::remove_file(&file).expect("own file");
    assert!(matches!(node.restore(None), Err(BackupError::NoManifest(_))));
}

/// Reading a backup must not change it, or its manifest would not fit any more.
#[test]
fn verifying_changes_no_byte() {
    let node = Node::new();
    let manifest = node.take("backup", None).expect("written");
    let store = Store::open_read_only(&node.path("backup/database"), &node.path("checkpoint"));
    let store = store.expect("opened for reading");
    assert!(store.set_generation(9).is_err(), "nothing can be written");
    drop(store);
    manifest.check(&node.path("backup")).expect("as it was written");
}
