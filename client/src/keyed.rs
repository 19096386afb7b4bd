//! Keyed digests: how a data set's addresses and a service's host names are stated without being told.
//!
//! Members of a group of the roster share a key of 32 bytes, which they agree on outside of Hashpact. A URL or a host name is
//! put into one canonical form and digested with that key; the digest goes into a record for the group. Whoever holds the key
//! finds the addresses that they have themselves, and whoever does not learns nothing.
//!
//! The canonical form changes only what can be spelled in several ways without being another address: letter case of
//! scheme and host, international names, a port that is the scheme's own, the fragment. Paths and queries are taken as they are.
//!
//! What is deliberately not here: reading lists and keys from disk (the command does), and any text in an error. An error
//! says what is wrong with an address, never which one it is.
//!
//! SPEC §7.15, §7.16.

use std::net::Ipv6Addr;

use hashpact_protocol::digest::{HexError, hex_array, hex_encode};
use hashpact_protocol::webhook::hmac_sha256;
use thiserror::Error;
use zeroize::Zeroizing;

/// Length of a group's key, in bytes.
pub const KEY_BYTES: usize = 32;
/// What precedes a URL under the key.
const URL_TAG: &[u8] = b"hashpact/url/v1\0";
/// What precedes a host name under the key.
const DOMAIN_TAG: &[u8] = b"hashpact/domain/v1\0";
/// The input of the value by which members see that they have the same key.
const KEY_CHECK_TAG: &[u8] = b"hashpact/key-check/v1\0";
/// Bytes of that value.
const KEY_CHECK_BYTES: usize = 8;
/// Longest host name and longest part of one, in bytes (RFC 1035).
const HOST_MAX_BYTES: usize = 253;
const LABEL_MAX_BYTES: usize = 63;

/// Ports that are left out, by scheme.
const OWN_PORTS: [(&str, u16); 5] = [("ftp", 21), ("http", 80), ("https", 443), ("ws", 80), ("wss", 443)];

/// Why an address has no keyed digest. None of these repeats a part of the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AddressError {
    /// Nothing is there.
    #[error("no address")]
    Empty,
    /// White space or a control character inside.
    #[error(
        "white space or a control character inside; give the addresses alone, and what belongs to one percent-encoded"
    )]
    Space,
    /// Not `scheme://host…`.
    #[error("not an address of the form scheme://host/path")]
    Scheme,
    /// Nothing between `//` and the path.
    #[error("no host")]
    NoHost,
    /// The host is neither a name nor an IP address.
    #[error("the host is not a name or an IP address")]
    Host,
    /// The port is not a number of 16 bits.
    #[error("the port is not a number from 0 to 65535")]
    Port,
    /// More than a host name where one is expected.
    #[error("not a host name alone, nor a whole address with its scheme")]
    NotAHost,
}

/// The key of a group; wiped from memory when it is dropped.
pub struct GroupKey(Zeroizing<[u8; KEY_BYTES]>);

impl GroupKey {
    /// The key with these bytes.
    #[must_use]
    pub fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Reads 64 lower-case hexadecimal digits.
    ///
    /// # Errors
    /// The width or the place of the digit that is wrong, never what stands there.
    pub fn from_hex(text: &str) -> Result<Self, HexError> {
        hex_array(text).map(Self::new)
    }

    /// 64 hexadecimal digits, to be written to a file.
    #[must_use]
    pub fn to_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(hex_encode(&*self.0))
    }

    /// 16 hexadecimal digits that are equal where keys are, and say nothing else about the key.
    #[must_use]
    pub fn check_value(&self) -> String {
        let digest = hmac_sha256(&*self.0, &[KEY_CHECK_TAG]);
        hex_encode(&digest[..KEY_CHECK_BYTES])
    }

    /// The `url_key` of an address.
    ///
    /// # Errors
    /// It is no address; see [`canonical_url`].
    pub fn url_key(&self, url: &str) -> Result<[u8; 32], AddressError> {
        Ok(hmac_sha256(&*self.0, &[URL_TAG, canonical_url(url)?.as_bytes()]))
    }

    /// The `domain_key` of a host name, or of the host of a whole address.
    ///
    /// # Errors
    /// It is neither; see [`canonical_domain`].
    pub fn domain_key(&self, domain: &str) -> Result<[u8; 32], AddressError> {
        Ok(hmac_sha256(&*self.0, &[DOMAIN_TAG, canonical_domain(domain)?.as_bytes()]))
    }
}

impl std::fmt::Debug for GroupKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GroupKey({})", self.check_value())
    }
}

/// The form of an address that is digested; white space around it is passed over.
///
/// # Errors
/// It is not of the form `scheme://host…`, or a part of it cannot be read.
pub fn canonical_url(url: &str) -> Result<String, AddressError> {
    let url = Url::read(trimmed(url)?)?;
    let user = url.user.map_or(String::new(), |user| format!("{user}@"));
    let port = url.port.map_or(String::new(), |port| format!(":{port}"));
    Ok(format!("{}://{user}{}{port}{}", url.scheme, url.host, url.rest))
}

/// The form of a host name that is digested; of a whole address that of its host.
///
/// # Errors
/// It is neither a host name nor an address.
pub fn canonical_domain(domain: &str) -> Result<String, AddressError> {
    let domain = trimmed(domain)?;
    if domain.contains("://") {
        return Ok(Url::read(domain)?.host);
    }
    let is_bracketed = domain.starts_with('[') && domain.ends_with(']');
    if !is_bracketed && domain.contains(['/', '\\', ':', '?', '#', '@']) {
        return Err(AddressError::NotAHost);
    }
    canonical_host(domain)
}

/// An address in its parts; what may be spelled in several ways is in its one form.
struct Url<'u> {
    scheme: String,
    user: Option<&'u str>,
    host: String,
    port: Option<u16>,
    /// Path and query as they are.
    rest: &'u str,
}

impl<'u> Url<'u> {
    fn read(url: &'u str) -> Result<Self, AddressError> {
        let (scheme, rest) = url.split_once("://").ok_or(AddressError::Scheme)?;
        let mut letters = scheme.bytes();
        let is_scheme = letters.next().is_some_and(|first| first.is_ascii_alphabetic())
            && letters.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        if !is_scheme {
            return Err(AddressError::Scheme);
        }
        let scheme = scheme.to_ascii_lowercase();
        let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
        let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, authority),
        };
        // The colons of an IPv6 address are inside brackets.
        let after = place.rfind(']').map_or(0, |at| at + 1);
        let (host, port) = match place.get(after..).and_then(|tail| tail.rfind(':')) {
            Some(at) => (&place[..after + at], &place[after + at + 1..]),
            None => (place, ""),
        };
        let host = canonical_host(host)?;
        let port = port_of(port)?.filter(|port| !OWN_PORTS.contains(&(scheme.as_str(), *port)));
        Ok(Self { scheme, user, host, port, rest })
    }
}

/// Without white space around it.
fn trimmed(text: &str) -> Result<&str, AddressError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(AddressError::Empty);
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(AddressError::Space);
    }
    Ok(text)
}

fn port_of(digits: &str) -> Result<Option<u16>, AddressError> {
    if digits.is_empty() {
        return Ok(None);
    }
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(AddressError::Port);
    }
    digits.parse().map(Some).map_err(|_| AddressError::Port)
}

/// Lower case, A-labels, no dot at the end; an IPv6 address in the form of RFC 5952.
fn canonical_host(host: &str) -> Result<String, AddressError> {
    if let Some(inner) = host.strip_prefix('[') {
        let address = inner.strip_suffix(']').and_then(|inner| inner.parse::<Ipv6Addr>().ok());
        return Ok(format!("[{}]", address.ok_or(AddressError::Host)?));
    }
    let ascii = if host.is_ascii() {
        host.to_ascii_lowercase()
    } else {
        let host = idna::domain_to_ascii_cow(host.as_bytes(), idna::AsciiDenyList::URL);
        host.map_err(|_| AddressError::Host)?.into_owned()
    };
    let name = ascii.strip_suffix('.').unwrap_or(&ascii);
    if name.is_empty() {
        return Err(AddressError::NoHost);
    }
    let is_label = |label: &str| {
        (1..=LABEL_MAX_BYTES).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    if name.len() > HOST_MAX_BYTES || !name.split('.').all(is_label) {
        return Err(AddressError::Host);
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests;
