//! `service`: an app, a bot or a site made for abuse, by digests.
//!
//! Digests of the package and of the certificate that signed it may go to every member; a host name only as a digest
//! keyed with the key of a group, in a record for that group. No field holds a name or an address.
//!
//! SPEC §7.16.

use super::error::{RecordError, SchemaError};
use super::lists::{check_ascending, read_related, read_techniques, write_related, write_techniques};
use super::model::{KEY_FORM, KEY_TECHNIQUES};
use super::schema::{MapReader, MapWriter, SubjectRef};
use super::techniques::TechniqueId;
use super::vocabulary::{Label, LabelWord, Vocabulary};
use crate::limits::{RELATED_PER_LIST_MAX, TECHNIQUES_PER_RECORD_MAX};

const KEY_PLATFORM: u64 = 23;
const KEY_OFFERS: u64 = 36;

/// Keys that a reader must understand.
pub(super) const KEYS_EVEN: [u64; 2] = [KEY_TECHNIQUES, KEY_OFFERS];

/// What kind of service it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceForm {
    /// Not known.
    #[default]
    Undetermined,
    /// A program that is installed.
    App,
    /// A bot of a messaging service.
    Bot,
    /// A site.
    Site,
    /// An interface for programs.
    Api,
}

impl Vocabulary for ServiceForm {
    const FIELD: &'static str = "form";
    const TABLE: &'static [(Self, u8, &'static str)] = &[
        (Self::Undetermined, 0, "undetermined"),
        (Self::App, 1, "app"),
        (Self::Bot, 2, "bot"),
        (Self::Site, 3, "site"),
        (Self::Api, 4, "api"),
    ];
}

impl LabelWord for ServiceForm {
    const DEFAULT: Self = Self::Undetermined;
    const FALLBACK: Self = Self::Undetermined;
}

/// What it runs on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Platform {
    /// Not known.
    #[default]
    Undetermined,
    /// Android.
    Android,
    /// iOS.
    Ios,
    /// Windows.
    Windows,
    /// macOS.
    Macos,
    /// Linux.
    Linux,
    /// A browser.
    Web,
    /// A messaging service.
    Messaging,
}

impl Vocabulary for Platform {
    const FIELD: &'static str = "platform";
    const TABLE: &'static [(Self, u8, &'static str)] = &[
        (Self::Undetermined, 0, "undetermined"),
        (Self::Android, 1, "android"),
        (Self::Ios, 2, "ios"),
        (Self::Windows, 3, "windows"),
        (Self::Macos, 4, "macos"),
        (Self::Linux, 5, "linux"),
        (Self::Web, 6, "web"),
        (Self::Messaging, 7, "messaging"),
    ];
}

impl LabelWord for Platform {
    const DEFAULT: Self = Self::Undetermined;
    const FALLBACK: Self = Self::Undetermined;
}

/// What a record says of a service beside what all statements say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Service {
    /// What kind of service it is.
    pub form: Label<ServiceForm>,
    /// What it runs on.
    pub platform: Label<Platform>,
    /// What it is used for, ascending.
    pub techniques: Vec<TechniqueId>,
    /// Records of models that it offers, ascending.
    pub offers: Vec<SubjectRef>,
}

impl Service {
    /// Puts every list in order.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.techniques.sort();
        self.offers.sort();
        self
    }

    /// The rules that bind its fields, with the key that each is about.
    pub(super) fn check(&self) -> Result<(), (u64, RecordError)> {
        check_ascending(&self.techniques, TECHNIQUES_PER_RECORD_MAX)
            .map_err(|rule| (KEY_TECHNIQUES, rule))?;
        check_ascending(&self.offers, RELATED_PER_LIST_MAX).map_err(|rule| (KEY_OFFERS, rule))
    }

    /// Takes its keys of the map of the statement.
    pub(super) fn read(map: &mut MapReader) -> Result<Self, SchemaError> {
        Ok(Self {
            form: map.label(KEY_FORM)?,
            platform: map.label(KEY_PLATFORM)?,
            techniques: read_techniques(map, KEY_TECHNIQUES)?,
            offers: read_related(map, KEY_OFFERS)?,
        })
    }

    pub(super) fn write(&self, map: &mut MapWriter) {
        map.put_nonzero(KEY_FORM, self.form.code());
        map.put_nonzero(KEY_PLATFORM, self.platform.code());
        write_techniques(map, KEY_TECHNIQUES, &self.techniques);
        write_related(map, KEY_OFFERS, &self.offers);
    }
}
