//! Reading an edit from an option and its value, as people type them.

use super::edit::{Edit, PlaceOf};
use super::error::EditError;
use super::terms::Right;
use hashpact_protocol::digest::Root;
use hashpact_protocol::keys::PublicKey;
use hashpact_protocol::roster::{GovernanceKey, LogPlace, MemberId, Role};

const MEMBER: &str = "MEMBER";
const KEY: &str = "MEMBER=PUBLIC_KEY, 64 hex digits";
const NUMBER: &str = "MEMBER=NUMBER";
const GROUP: &str = "MEMBER=GROUP";
const PLACE: &str = "MEMBER@N:INDEX, the number of its log and a leaf index, such as acme@1:2500";
const PLACE_OR_NONE: &str =
    "MEMBER or MEMBER@N:INDEX, the number of its log and a leaf index, such as acme@1:2500";
const STEWARD: &str = "LEAVER=MEMBER or LEAVER=MEMBER@N:INDEX, such as birch=acme@1:2500";
const PANEL: &str = "K=MEMBER@N:INDEX,MEMBER@N:INDEX,…: how many must agree, and all who sit, such as 2=acme@1:0,birch@1:40,cedar@2:7";
const ROLE: &str = "MEMBER=ROLE with contributor, hotline, observer or auditor";

/// A value of an option, split as its form says.
struct Given<'a> {
    option: &'static str,
    text: &'a str,
    form: &'static str,
}

impl<'a> Given<'a> {
    fn bad(&self) -> EditError {
        EditError::Form { option: self.option, given: self.text.chars().take(120).collect(), form: self.form }
    }

    fn read<T>(&self, value: Option<T>) -> Result<T, EditError> {
        value.ok_or_else(|| self.bad())
    }

    fn id(&self, text: &str) -> Result<MemberId, EditError> {
        self.read(MemberId::parse(text).ok())
    }

    fn number<N: std::str::FromStr>(&self, text: &str) -> Result<N, EditError> {
        self.read(text.parse().ok())
    }

    /// `MEMBER=VALUE`.
    fn of_member(&self) -> Result<(MemberId, &'a str), EditError> {
        let (id, value) = self.read(self.text.split_once('='))?;
        Ok((self.id(id)?, value))
    }

    fn of_member_number<N: std::str::FromStr>(&self) -> Result<(MemberId, N), EditError> {
        let (id, number) = self.of_member()?;
        Ok((id, self.number(number)?))
    }

    fn of_member_key(&self) -> Result<(MemberId, PublicKey), EditError> {
        let (id, key) = self.of_member()?;
        Ok((id, self.read(PublicKey::from_hex(key).ok())?))
    }

    /// `MEMBER@N:INDEX`, or `MEMBER` alone.
    fn place(&self, text: &str) -> Result<PlaceOf, EditError> {
        let Some((id, place)) = text.split_once('@') else {
            return Ok(PlaceOf { member: self.id(text)?, place: None });
        };
        let (n, index) = self.read(place.split_once(':'))?;
        let place = LogPlace { n: self.number(n)?, index: self.number(index)? };
        Ok(PlaceOf { member: self.id(id)?, place: Some(place) })
    }

    /// A place that is said.
    fn exact_place(&self, text: &str) -> Result<PlaceOf, EditError> {
        let at = self.place(text)?;
        if at.place.is_some() { Ok(at) } else { Err(self.bad()) }
    }

    fn steward(&self) -> Result<(Right, &'a str), EditError> {
        let (of, rest) = self.of_member()?;
        Ok((Right::StewardOf(of), rest))
    }

    fn role(&self) -> Result<(MemberId, Role), EditError> {
        let (id, role) = self.of_member()?;
        let roles = [Role::Contributor, Role::Hotline, Role::Observer, Role::Auditor];
        Ok((id, self.read(roles.into_iter().find(|known| known.name() == role))?))
    }

    fn panel(&self) -> Result<Edit, EditError> {
        let (needed, panel) = self.read(self.text.split_once('='))?;
        let panel = panel.split(',').map(|at| self.place(at)).collect::<Result<_, _>>()?;
        Ok(Edit::Panel(self.number(needed)?, panel))
    }

    fn closure(&self) -> Result<Edit, EditError> {
        let (id, rest) = self.of_member()?;
        let (size, root) = self.read(rest.split_once(':'))?;
        Ok(Edit::Close(id, self.number(size)?, self.read(Root::from_hex(root).ok())?))
    }

    fn governance(&self) -> Result<Edit, EditError> {
        let (name, key) = self.read(self.text.split_once('='))?;
        let key = self.read(PublicKey::from_hex(key).ok())?;
        Ok(Edit::Governance(GovernanceKey { name: name.to_owned(), key }))
    }

    /// `WORD`, or `WORD` and something behind a separator.
    fn word(&self, separator: char) -> (String, Option<&'a str>) {
        match self.text.split_once(separator) {
            Some((word, rest)) => (word.to_owned(), Some(rest)),
            None => (self.text.to_owned(), None),
        }
    }

    fn feature(&self) -> Result<Edit, EditError> {
        let (word, from) = self.word('@');
        Ok(Edit::Feature(word, from.map(|from| self.number(from)).transpose()?))
    }
}

impl Edit {
    /// Reads an option's value. `None` for an option that is no edit.
    ///
    /// # Errors
    /// The value has another form.
    pub fn parse(option: &'static str, text: &str) -> Option<Result<Self, EditError>> {
        of_consortium(option, text).or_else(|| of_member(option, text)).or_else(|| of_term(option, text))
    }
}

fn of_consortium(option: &'static str, text: &str) -> Option<Result<Edit, EditError>> {
    let given = |form| Given { option, text, form };
    let word = || text.to_owned();
    let edit = match option {
        "threshold" => given("a number").number(text).map(Edit::Threshold),
        "governance" => given("NAME=PUBLIC_KEY, 64 hex digits").governance(),
        "no-governance" => Ok(Edit::NoGovernance(word())),
        "taxonomy" => Ok(Edit::Taxonomy(word(), true)),
        "no-taxonomy" => Ok(Edit::Taxonomy(word(), false)),
        "hash-set" => Ok(Edit::HashSet(word(), true)),
        "no-hash-set" => Ok(Edit::HashSet(word(), false)),
        "feature" => given("WORD or WORD@VERSION").feature(),
        "group" => {
            let (word, within) = given("WORD or WORD:WIDER_GROUP").word(':');
            Ok(Edit::Group(word, within.map(str::to_owned)))
        }
        "retention-s" => given("a number of seconds").number(text).map(Edit::Retention),
        "hold-s" => given("a number of seconds").number(text).map(Edit::Hold),
        _ => return None,
    };
    Some(edit)
}

fn of_member(option: &'static str, text: &str) -> Option<Result<Edit, EditError>> {
    let given = |form| Given { option, text, form };
    let edit = match option {
        "leave" => given(MEMBER).id(text).map(Edit::Leave),
        "name" => given("MEMBER=TEXT").of_member().map(|(id, name)| Edit::Name(id, name.to_owned())),
        "role" => given(ROLE).role().map(|(id, role)| Edit::Role(id, role, true)),
        "no-role" => given(ROLE).role().map(|(id, role)| Edit::Role(id, role, false)),
        "in-group" => given(GROUP).of_member().map(|(id, word)| Edit::InGroup(id, word.to_owned(), true)),
        "out-of-group" => {
            given(GROUP).of_member().map(|(id, word)| Edit::InGroup(id, word.to_owned(), false))
        }
        "card-key" => given(KEY).of_member_key().map(|(id, key)| Edit::CardKey(id, key)),
        "cosigner-key" => given(KEY).of_member_key().map(|(id, key)| Edit::CosignerKey(id, key)),
        "history-s" => given("MEMBER=SECONDS since 1970, 0 for all")
            .of_member_number()
            .map(|(id, start_s)| Edit::History(id, start_s)),
        "quota" => given(NUMBER).of_member_number().map(|(id, entries)| Edit::Quota(id, entries)),
        "priority" => given(NUMBER).of_member_number().map(|(id, entries)| Edit::Priority(id, entries)),
        "agreement" => given(NUMBER).of_member_number().map(|(id, version)| Edit::Agreement(id, version)),
        "records-lapse" => given(MEMBER).id(text).map(|id| Edit::Lapse(id, true)),
        "records-stand" => given(MEMBER).id(text).map(|id| Edit::Lapse(id, false)),
        "close" => given("MEMBER=SIZE:ROOT, the root as 64 hex digits").closure(),
        "spare" => given(KEY).of_member_key().map(|(id, key)| Edit::Spare(id, key)),
        "open-spare" => given(MEMBER).id(text).map(Edit::OpenSpare),
        "witness" => given(MEMBER).id(text).map(|id| Edit::Witness(id, true)),
        "no-witness" => given(MEMBER).id(text).map(|id| Edit::Witness(id, false)),
        _ => return None,
    };
    Some(edit)
}

fn of_term(option: &'static str, text: &str) -> Option<Result<Edit, EditError>> {
    let given = |form| Given { option, text, form };
    let begin = |right| given(PLACE_OR_NONE).place(text).map(|at| Edit::Begin(right, at));
    let end = |right| given(PLACE).exact_place(text).map(|at| Edit::End(right, at));
    let edit = match option {
        "eraser" => begin(Right::Eraser),
        "end-eraser" => end(Right::Eraser),
        "declarer" => begin(Right::Declarer),
        "end-declarer" => end(Right::Declarer),
        "end-panellist" => end(Right::Panellist),
        "panel" => given(PANEL).panel(),
        "steward" => {
            let given = given(STEWARD);
            given.steward().and_then(|(right, at)| Ok(Edit::Begin(right, given.place(at)?)))
        }
        "end-steward" => {
            let given = given(STEWARD);
            given.steward().and_then(|(right, at)| Ok(Edit::End(right, given.exact_place(at)?)))
        }
        _ => return None,
    };
    Some(edit)
}
