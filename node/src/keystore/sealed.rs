//! Keys sealed by a passphrase: Argon2id makes a key of it, XChaCha20-Poly1305 seals the seed.
//!
//! ```text
//! hashpact-sealed-key-1 <role> argon2id <memory KiB> <passes> <salt> <nonce> <sealed seed and tag>\n
//! ```
//!
//! The last three in hexadecimal: 16, 24 and 48 bytes. What stands before the nonce is authenticated with the seed, so a file
//! that was renamed, or given cheaper costs, does not open. Each file has its own salt and nonce.

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hashpact_protocol::digest::{hex_array, hex_encode};
use hashpact_protocol::keys::SEED_BYTES;
use zeroize::Zeroizing;

/// How sealed key files begin.
pub(super) const SEALED_FORMAT: &str = "hashpact-sealed-key-1";
const SALT_BYTES: usize = 16;
const NONCE_BYTES: usize = 24;
const SEALED_BYTES: usize = SEED_BYTES + 16;
/// Costs of new files: 64 MiB, three passes: about a tenth of a second.
const COSTS: Costs = Costs { memory_kib: 64 * 1024, passes: 3 };
/// Costs beyond these are not paid for a file, whoever wrote it.
const COSTS_MAX: Costs = Costs { memory_kib: 1024 * 1024, passes: 16 };

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Costs {
    memory_kib: u32,
    passes: u32,
}

/// Why a sealed key does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SealFault {
    /// Not of the form.
    Form,
    /// A key of another role.
    Role,
    /// Argon2 refuses, or there are no random bytes.
    Failed,
    /// Another passphrase, or the file was changed.
    Passphrase,
}

/// Seals a seed for a role.
pub(super) fn seal(role: &str, seed: &[u8; SEED_BYTES], passphrase: &[u8]) -> Result<String, SealFault> {
    let (mut salt, mut nonce) = ([0; SALT_BYTES], [0; NONCE_BYTES]);
    getrandom::fill(&mut salt).map_err(|_| SealFault::Failed)?;
    getrandom::fill(&mut nonce).map_err(|_| SealFault::Failed)?;
    let Costs { memory_kib, passes } = COSTS;
    let head = format!("{SEALED_FORMAT} {role} argon2id {memory_kib} {passes} {}", hex_encode(&salt));
    let cipher = cipher(passphrase, &salt, COSTS)?;
    let payload = Payload { msg: seed.as_slice(), aad: head.as_bytes() };
    let sealed = cipher.encrypt(XNonce::from_slice(&nonce), payload).map_err(|_| SealFault::Failed)?;
    Ok(format!("{head} {} {}\n", hex_encode(&nonce), hex_encode(&sealed)))
}

/// A sealed file that was read and not opened.
pub(super) struct Sealed<'a> {
    head: &'a str,
    costs: Costs,
    salt: [u8; SALT_BYTES],
    nonce: [u8; NONCE_BYTES],
    sealed: [u8; SEALED_BYTES],
}

impl<'a> Sealed<'a> {
    /// Reads a file of this role.
    pub(super) fn parse(text: &'a str, role: &str) -> Result<Self, SealFault> {
        let line = text.strip_suffix('\n').ok_or(SealFault::Form)?;
        let words: Vec<&str> = line.split(' ').collect();
        let [SEALED_FORMAT, found, "argon2id", memory, passes, salt, nonce, sealed] = words[..] else {
            return Err(SealFault::Form);
        };
        if found != role {
            return Err(SealFault::Role);
        }
        let number = |text: &str, min: u32, max: u32| {
            let number = text.parse().ok().filter(|number: &u32| number.to_string() == text);
            number.filter(|number| (min..=max).contains(number)).ok_or(SealFault::Form)
        };
        let costs = Costs {
            memory_kib: number(memory, 8, COSTS_MAX.memory_kib)?,
            passes: number(passes, 1, COSTS_MAX.passes)?,
        };
        let head = line.get(..line.len() - nonce.len() - sealed.len() - 2).ok_or(SealFault::Form)?;
        Ok(Self {
            head,
            costs,
            salt: hex_array(salt).map_err(|_| SealFault::Form)?,
            nonce: hex_array(nonce).map_err(|_| SealFault::Form)?,
            sealed: hex_array(sealed).map_err(|_| SealFault::Form)?,
        })
    }

    /// The seed.
    pub(super) fn open(&self, passphrase: &[u8]) -> Result<Zeroizing<[u8; SEED_BYTES]>, SealFault> {
        let cipher = cipher(passphrase, &self.salt, self.costs)?;
        let payload = Payload { msg: self.sealed.as_slice(), aad: self.head.as_bytes() };
        let opened = cipher.decrypt(XNonce::from_slice(&self.nonce), payload);
        let opened = Zeroizing::new(opened.map_err(|_| SealFault::Passphrase)?);
        let seed: [u8; SEED_BYTES] = opened.as_slice().try_into().map_err(|_| SealFault::Form)?;
        Ok(Zeroizing::new(seed))
    }
}

fn cipher(passphrase: &[u8], salt: &[u8], costs: Costs) -> Result<XChaCha20Poly1305, SealFault> {
    let params =
        Params::new(costs.memory_kib, costs.passes, 1, Some(SEED_BYTES)).map_err(|_| SealFault::Form)?;
    let mut key = Zeroizing::new([0; SEED_BYTES]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase, salt, key.as_mut_slice())
        .map_err(|_| SealFault::Failed)?;
    Ok(XChaCha20Poly1305::new(key.as_slice().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_seed_opens_with_its_passphrase_and_every_change_is_noticed() {
        let seed = [7; SEED_BYTES];
        let text = seal("log", &seed, b"correct horse battery").expect("sealed");
        let open = |text: &str, passphrase: &[u8]| Sealed::parse(text, "log")?.open(passphrase);
        assert_eq!(open(&text, b"correct horse battery").expect("opens").as_slice(), seed);
        assert_eq!(open(&text, b"correct horse batterz").err(), Some(SealFault::Passphrase));
        assert!(!text.contains(&hex_encode(&seed)));
        assert_eq!(Sealed::parse(&text, "card").err(), Some(SealFault::Role));
        assert_eq!(
            open(&text.replace(" log ", " card "), b"correct horse battery").err(),
            Some(SealFault::Role)
        );
        let renamed = text.replace(" log ", " card ");
        let renamed = Sealed::parse(&renamed, "card").expect("the form").open(b"correct horse battery");
        assert_eq!(renamed.err(), Some(SealFault::Passphrase), "the role is sealed as well");
        let cheaper = text.replace(" 65536 3 ", " 65536 2 ");
        assert_eq!(open(&cheaper, b"correct horse battery").err(), Some(SealFault::Passphrase));
        for text in [
            text.trim_end(),
            &text.replace(" 65536 ", " 1048577 "),
            &text.replace(" 3 ", " 17 "),
            &text.replace(" 3 ", " 03 "),
            &text.replace("argon2id", "scrypt"),
            &format!("x{text}"),
            "",
        ] {
            assert_eq!(open(text, b"correct horse battery").err(), Some(SealFault::Form), "{text}");
        }
        assert_ne!(seal("log", &seed, b"correct horse battery"), Ok(text), "another salt and nonce");
    }
}
