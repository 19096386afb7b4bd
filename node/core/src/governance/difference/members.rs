//! What is different about members and their logs.

use super::{Found, history, list, roles, thousands};
use hashpact_protocol::roster::{LogStatus, Member, Roster};

pub(super) fn compare(found: &mut Found, before: &Roster, after: &Roster) {
    for member in &before.members {
        match after.member(&member.id) {
            Some(now) => of_member(found, after, member, now),
            None => found.mean(
                format!("{} is not listed any more", member.id),
                "no node accepts this: members who leave stay listed",
            ),
        }
    }
    for member in &after.members {
        if before.member(&member.id).is_none() {
            joined(found, after, member);
        }
    }
}

fn joined(found: &mut Found, after: &Roster, member: &Member) {
    let logs: Vec<String> =
        member.logs.iter().map(|log| format!("log {} with key {}", log.n, log.key)).collect();
    let groups = group_words(after, member.groups.iter());
    let groups = if member.groups.is_empty() { String::new() } else { format!(", in {}", list(&groups)) };
    found.mean(
        format!(
            "{} joins: {}, {}{groups}; {}",
            member.id,
            member.name,
            roles(member),
            list(&logs)
        ),
        format!(
            "every node follows its log and may give it payloads from {} on. Compare the keys with the member by another \
             channel; its card key is {}",
            history(member.history_start_s),
            member.card_key
        ),
    );
    if let Some(version) = member.agreement {
        found.say(format!("{}: signed version {version} of the agreement", member.id));
    }
}

fn group_words<'a>(roster: &Roster, numbers: impl Iterator<Item = &'a u32>) -> Vec<String> {
    numbers.map(|n| roster.group(*n).map_or_else(|| n.to_string(), |group| group.word.clone())).collect()
}

fn of_member(found: &mut Found, after: &Roster, was: &Member, now: &Member) {
    let id = &was.id;
    if was.is_active() && !now.is_active() {
        left(found, after, now);
    } else if was.records_lapse != now.records_lapse {
        let says =
            if now.records_lapse { "what it stated counts no more" } else { "what it stated counts again" };
        found.mean(format!("{id}: {says}"), "what matches changes on every node at once");
    }
    if was.name != now.name {
        found.say(format!("{id}: name {:?} → {:?}", was.name, now.name));
    }
    of_roles(found, was, now);
    of_groups(found, after, was, now);
    if was.card_key != now.card_key {
        found.mean(
            format!("{id}: card key {} → {}", was.card_key, now.card_key),
            "node cards of the old key end at once: its nodes must have the new key before",
        );
    }
    if was.cosigner_key != now.cosigner_key {
        let show = |key: Option<hashpact_protocol::keys::PublicKey>| {
            key.map_or("none".to_owned(), |key| key.to_string())
        };
        found.say(format!("{id}: cosigner key {} → {}", show(was.cosigner_key), show(now.cosigner_key)));
    }
    let what = |what: &str| format!("{id}: {what}");
    found
        .change(&what("may have payloads from"), &was.history_start_s, &now.history_start_s, |s| history(*s));
    found.change(&what("entries a day"), &was.quota_entries_per_day, &now.quota_entries_per_day, |n| {
        thousands(*n)
    });
    found.change(
        &what("priority entries a day"),
        &was.priority_entries_per_day,
        &now.priority_entries_per_day,
        |n| thousands(*n),
    );
    found.change(&what("version of the agreement"), &was.agreement, &now.agreement, |version| {
        version.map_or("unstated".to_owned(), |version| version.to_string())
    });
    of_logs(found, was, now);
}

/// Off-boarding: what becomes of the records, and who looks after them.
fn left(found: &mut Found, after: &Roster, now: &Member) {
    let stewards = after.terms.stewards.iter().filter(|steward| steward.of == now.id);
    let stewards: Vec<String> = stewards
        .filter(|steward| steward.term.until.is_none())
        .map(|steward| steward.term.member.to_string())
        .collect();
    let retracts = if stewards.is_empty() {
        "nobody retracts them".to_owned()
    } else {
        format!("{} may retract them", list(&stewards))
    };
    let means = if now.records_lapse {
        "its nodes are let go for good; what it stated counts no more".to_owned()
    } else {
        format!("its nodes are let go for good; its records count on, and {retracts}")
    };
    found.mean(format!("{} leaves", now.id), means);
}

fn of_roles(found: &mut Found, was: &Member, now: &Member) {
    use hashpact_protocol::roster::Role;
    for role in was.roles.difference(&now.roles) {
        let says = format!("{} is {} no more", was.id, role.name());
        match role {
            Role::Hotline => {
                found.mean(says, "its hotline_confirmed counts no more, also what it stated before")
            }
            _ => found.say(says),
        }
    }
    for role in now.roles.difference(&was.roles) {
        let says = format!("{} becomes {}", was.id, role.name());
        match role {
            Role::Hotline => found.mean(says, "its hotline_confirmed counts, also what it stated before"),
            _ => found.say(says),
        }
    }
}

fn of_groups(found: &mut Found, after: &Roster, was: &Member, now: &Member) {
    for word in group_words(after, now.groups.difference(&was.groups)) {
        found.mean(
            format!("{} comes into group {word}", was.id),
            format!(
                "every node gives it the payloads of that group, from {} on",
                history(now.history_start_s)
            ),
        );
    }
    for word in group_words(after, was.groups.difference(&now.groups)) {
        found.mean(format!("{} goes out of group {word}", was.id), "what it holds already it keeps");
    }
}

fn of_logs(found: &mut Found, was: &Member, now: &Member) {
    let id = &was.id;
    for log in &now.logs {
        let before = was.logs.iter().find(|other| other.n == log.n);
        if before.is_some_and(|before| before.status == log.status && before.key == log.key) {
            continue;
        }
        if before.is_some_and(|before| before.key != log.key) {
            found.mean(format!("{id}: log {} has another key", log.n), "no node accepts this");
        }
        match log.status {
            LogStatus::Closed { size, root } => found.mean(
                format!("{id}: log {} closed at {}", log.n, thousands(size)),
                format!(
                    "entries from index {size} on never count, also cosigned ones, and what they withdrew stands again. The root \
                     is {root}: compare it with what members hold"
                ),
            ),
            LogStatus::Open => found.say(format!("{id}: log {} opens with key {}", log.n, log.key)),
            LogStatus::Spare => found.say(format!("{id}: spare log {} with key {}", log.n, log.key)),
        }
    }
    for log in was.logs.iter().filter(|log| !now.logs.iter().any(|other| other.n == log.n)) {
        found.mean(format!("{id}: log {} is gone", log.n), "no node accepts this");
    }
    if was.open_log().is_some() && now.open_log().is_none() && now.is_active() {
        found.mean(format!("{id} has no open log"), "it states nothing before a version opens one");
    }
}
