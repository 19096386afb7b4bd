//! The last member: who made the annex, when, and over what; signed by the holder's card key (SPEC §12.6).

use crate::checkpoint::parse_decimal;
use crate::digest::{DIGEST_BYTES, hex_array, hex_encode};
use crate::keys::{Signer, SignerError};
use crate::limits::TIME_S_MAX;
use crate::note::{Note, NoteAlgorithm, NoteError, NoteKey, sign_note_by};
use crate::roster::{MemberId, Roster};

const HEADER: &str = "hashpact/audit-annex/v1";

/// What the holder states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Consortium id.
    pub consortium: String,
    /// The holder.
    pub member: MemberId,
    /// When it began to write, seconds since 1970 UTC.
    pub begun_s: u64,
    /// When it had written the rest.
    pub ended_s: u64,
    /// Digest of the core: SHA-256 of the manifest.
    pub core: [u8; DIGEST_BYTES],
    /// SHA-256 of the contents of all lists of digests, one after the other.
    pub digests: [u8; DIGEST_BYTES],
}

/// Why a statement does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StatementError {
    /// The note, or its signature.
    #[error("statement: {0}")]
    Note(#[from] NoteError),
    /// The text.
    #[error("statement: not in its form")]
    Form,
    /// A holder that the roster does not list.
    #[error("statement: the roster lists no member {0}")]
    UnknownMember(MemberId),
}

impl Statement {
    fn text(&self) -> String {
        format!(
            "{HEADER}\nconsortium {}\nmember {}\nbegun {}\nended {}\ncore {}\ndigests {}\n",
            self.consortium,
            self.member,
            self.begun_s,
            self.ended_s,
            hex_encode(&self.core),
            hex_encode(&self.digests)
        )
    }

    /// Signs it with the card key of the member.
    ///
    /// # Errors
    /// [`SignerError`]: whoever holds the key gave no signature.
    pub fn sign(&self, card: &Signer) -> Result<Vec<u8>, SignerError> {
        let text = self.text();
        let signature = sign_note_by(&text, &signer(&self.consortium, &self.member), card)?;
        Ok(Note { text, signatures: vec![signature] }.encode())
    }

    /// Reads and verifies a signed statement.
    ///
    /// # Errors
    /// [`StatementError`].
    pub fn verify(note: &[u8], roster: &Roster) -> Result<Self, StatementError> {
        let parsed = Note::parse(note)?;
        let statement = Self::parse(&parsed.text).ok_or(StatementError::Form)?;
        let member = roster.member(&statement.member);
        let member = member.ok_or_else(|| StatementError::UnknownMember(statement.member.clone()))?;
        parsed.verify(&NoteKey {
            name: signer(&statement.consortium, &statement.member),
            algorithm: NoteAlgorithm::Ed25519,
            key: member.card_key,
        })?;
        // A second line of anybody would be a byte that nothing vouches for.
        if parsed.signatures.len() == 1 { Ok(statement) } else { Err(StatementError::Form) }
    }

    fn parse(text: &str) -> Option<Self> {
        let lines: Vec<&str> = text.split('\n').collect();
        let [HEADER, consortium, member, begun, ended, core, digests, ""] = lines.as_slice() else {
            return None;
        };
        let time = |line: &str, key| {
            let value = line.strip_prefix(key).and_then(parse_decimal);
            value.filter(|time_s| *time_s <= TIME_S_MAX)
        };
        Some(Self {
            consortium: consortium.strip_prefix("consortium ")?.to_owned(),
            member: MemberId::parse(member.strip_prefix("member ")?).ok()?,
            begun_s: time(begun, "begun ")?,
            ended_s: time(ended, "ended ")?,
            core: hex_array(core.strip_prefix("core ")?).ok()?,
            digests: hex_array(digests.strip_prefix("digests ")?).ok()?,
        })
    }
}

fn signer(consortium: &str, member: &MemberId) -> String {
    format!("{consortium}/{member}/card")
}
