//! The quiet months: founding, a member that joins, keys that are rotated or lost, a roster that expires, the end.

use super::checks::stand;
use super::governance::{THRESHOLD, listed};
use super::{AURORA, BEACON, DAY_MS, DELTA, EMBER, GROVE, HARBOR, NAMES, SECOND_MS, Year};
use hashpact_core::view::{Status, StatusReason};
use hashpact_protocol::keys::SecretKey;
use hashpact_protocol::record::{Content, OpinionValue, Reason, RetractionReason};
use hashpact_protocol::roster::MemberStatus;

/// Records that each member contributes in the first month.
const FIRST_RECORDS: usize = 10;
const LOST: [&str; 2] = ["cleo", "eve"];

impl Year {
    pub(super) fn founding(&mut self) {
        for node in 0..NAMES.len() {
            let signals = (0..FIRST_RECORDS).map(|_| self.signal()).collect();
            let items = self.contribute(node, signals, false);
            let ids = self.ledger.ids(&items);
            self.until("the first records", |view| stand(view, &ids, Status::Active));
        }
        self.note(format!(
            "{} members contribute {FIRST_RECORDS} records each; every member matches all of them",
            NAMES.len()
        ));
        self.business(30);
    }

    pub(super) fn joining(&mut self) {
        let known: Vec<_> = self.ledger.items.iter().map(|item| item.id).collect();
        let node = self.join("meadow");
        assert_eq!(node, NAMES.len());
        self.until("what was stated before it joined", |view| {
            known.iter().all(|id| view.record(id).is_some())
        });
        self.note(
            "meadow joins: before the roster lists it its node does not start, then it fetches all \
            that was stated",
        );
        let signals = vec![self.signal()];
        let items = self.contribute(node, signals, false);
        let ids = self.ledger.ids(&items);
        self.until("the newcomer's first record", |view| stand(view, &ids, Status::Active));
        self.business(30);
    }

    pub(super) fn rotation(&mut self) {
        let signals = vec![self.signal(), self.signal()];
        let own = self.contribute(EMBER, signals, true);
        let signals = vec![self.signal()];
        let [other] = self.contribute(AURORA, signals, true)[..] else { unreachable!("one record") };
        self.opine(EMBER, other, OpinionValue::Disagree, Some(Reason::BenignCollision));
        let (subject, name) = (self.ledger.id(other), self.world.nodes[EMBER].member.id.clone());
        let says = |value: OpinionValue| {
            let name = name.clone();
            move |view: &hashpact_core::view::View| {
                let said =
                    view.record(&subject).and_then(|record| record.standing.statements.get(&name).cloned());
                said.is_some_and(|said| said.opinion == value)
            }
        };
        self.until("the opinion from log 1", says(OpinionValue::Disagree));
        let size = self.settle_log(EMBER);
        let former = self.give_up_log(EMBER);
        self.replace_log(EMBER, &former, size, BEACON);
        self.note("ember rotates its keys: log 1 is closed where it ended, log 2 opened");
        let kept = [self.ledger.id(own[1])];
        self.until("what log 1 states", |view| stand(view, &kept, Status::Active));
        self.until("the opinion of the closed log", says(OpinionValue::Disagree));
        self.retract(own[0], RetractionReason::Error);
        let gone = [self.ledger.id(own[0])];
        self.until("a record of log 1 that log 2 retracts", |view| stand(view, &gone, Status::Retracted));
        self.opine(EMBER, other, OpinionValue::Agree, None);
        self.until("the opinion of log 2 in the place of that of log 1", says(OpinionValue::Agree));
        self.until("no dispute any more", |view| stand(view, &[subject], Status::Active));
        self.note(
            "from log 2 ember retracts a record of log 1 and changes an opinion of log 1; both \
            count everywhere",
        );
        self.rotated = Some(self.ledger.id(own[0]));
        self.business(30);
    }

    pub(super) fn lost_keys(&mut self) {
        let stolen: Vec<(String, SecretKey)> = self
            .keys
            .iter()
            .filter(|(name, _)| LOST.contains(&name.as_str()))
            .map(|(name, key)| (name.clone(), SecretKey::from_seed(*key.seed())))
            .collect();
        let fresh = self.renew_governors(&LOST);
        let victim = self.world.nodes[GROVE].member.id.clone();
        let coup = self.draft(|roster| {
            let member = listed(roster, &victim);
            member.roles.clear();
            member.roles.insert(hashpact_protocol::roster::Role::Observer);
        });
        assert!(!self.is_accepted(&coup, &stolen), "two of five keys changed the roster");
        self.note(format!(
            "governance loses {} of 5 keys; whoever has them cannot change the roster, which {THRESHOLD} \
             must sign",
            LOST.len()
        ));
        let version = self.publish(DELTA, |roster| {
            for key in fresh {
                let listed = roster.governance.iter_mut().find(|listed| listed.name == key.name);
                listed.expect("a governor").key = key.key;
            }
        });
        assert!(!self.is_accepted(&self.draft(|_| {}), &stolen), "lost keys sign for the next version");
        self.note(format!("the three others sign version {version}, which lists new ones in their place"));
        self.business(40);
    }

    pub(super) fn expiry(&mut self) {
        let expires_s = self.world.now_ms / 1_000 + 10 * 86_400;
        self.publish(AURORA, |roster| roster.expires_s = expires_s);
        let signals = vec![self.signal(), self.signal()];
        let items = self.contribute(HARBOR, signals, true);
        let mut content = Content::new(vec![self.signal()]).expect("a valid record");
        content.expires_s = Some((self.world.now_ms + 60 * DAY_MS) / 1_000);
        let mortal = self.contribute_contents(HARBOR, vec![content], true);
        self.mortal = Some(self.ledger.id(mortal[0]));
        self.skip(12 * DAY_MS);
        let now_s = self.world.now_ms / 1_000;
        let expired = |year: &Self| {
            let nodes = year.inside();
            let mut engines = nodes.iter().filter_map(|node| year.world.nodes[*node].engine.as_ref());
            engines.all(|engine| engine.roster().expires_s <= now_s)
        };
        assert!(expired(self), "nobody may go by another roster");
        let ids = self.ledger.ids(&items);
        self.until("records under an expired roster", |view| stand(view, &ids, Status::Active));
        self.retract(items[0], RetractionReason::Error);
        self.world.cut_power(GROVE);
        self.world.run(4 * SECOND_MS);
        self.until("a retraction under an expired roster", |view| stand(view, &ids[..1], Status::Retracted));
        self.business(10);
        let candidate = self.draft(|_| {});
        assert!(!self.is_accepted(&candidate, &self.keys[..2]), "nobody is admitted without governance");
        self.note(
            "governance is late, and the roster expires: look-ups, contributions and retractions go \
            on, restarted nodes find one another; nobody new can be admitted",
        );
        let version = self.publish(AURORA, |_| {});
        self.note(format!("version {version} renews it"));
        self.business(20);
    }

    pub(super) fn closing(&mut self) {
        self.business(30);
        let retracted = self.rotated.expect("the third month");
        self.until("a payload destroyed after the retention", |view| {
            let record = view.record(&retracted);
            record.is_some_and(|record| {
                let reason = record.standing.reason;
                record.standing.status == Status::Erased
                    && matches!(reason, Some(StatusReason::RetractedBy { .. }))
            })
        });
        let mortal = [self.mortal.expect("the ninth month")];
        self.until("a record that expired", |view| stand(view, &mortal, Status::Expired));
        let left = self.world.founding.published.last().expect("versions").current().members.iter();
        let left = left.filter(|member| member.status == MemberStatus::Left).count();
        self.note(format!(
            "what was retracted ninety days ago is destroyed at every member; a record that said when it \
             expires has expired; {left} members have left"
        ));
    }
}
