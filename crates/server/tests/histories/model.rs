//! The naive model: what one caller after the other would see. No versions, no batches, no records; a call is a few lines.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

pub(crate) const REGIONS: [&str; 3] = ["eu-west-1", "us-east-1", "ap-southeast-2"];
pub(crate) const DAY: i64 = 86_400;

/// How long a replica is Creating and a moving primary is Updating.
const SETTLING: i64 = 2;
/// On-demand rotations in the life of a key.
const ROTATIONS: u32 = 25;

/// What a client asks, of one of the two keys of its place, in one Region (an index of [`REGIONS`]).
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) key: usize,
    pub(crate) region: usize,
    pub(crate) op: Op,
}

#[derive(Debug, Clone)]
pub(crate) enum Op {
    Enable,
    Disable,
    Schedule { days: i64 },
    Cancel,
    Tag(&'static str, u32),
    Untag(&'static str),
    PutPolicy { denies_encrypt: bool },
    Encrypt,
    Decrypt { blob: String },
    CreateGrant(&'static str),
    RevokeGrant { id: String },
    Replicate { to: usize },
    MovePrimary { to: usize },
    EnableRotation { days: u32 },
    DisableRotation,
    Rotate,
    CreateAlias(&'static str),
    UpdateAlias(&'static str),
    DeleteAlias(&'static str),
    Describe,
    ListTags,
    ListGrants,
    GetPolicy,
    RotationStatus,
    ListRotations,
    ListAliases,
}

/// Two keys and their aliases: what one group of clients works on. Nothing in it depends on anything outside.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// A multi-Region key, and a key of one Region.
    pub(crate) keys: [Family; 2],
    /// By Region and name: which of the keys.
    aliases: BTreeMap<(usize, &'static str), usize>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Family {
    multi_region: bool,
    primary: usize,
    pub(crate) members: BTreeMap<usize, Member>,
    rotation: Option<u32>,
    rotated: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Member {
    life: Life,
    tags: BTreeMap<&'static str, u32>,
    denies_encrypt: bool,
    /// IDs by name. Empty: the answer that told the ID was lost.
    grants: BTreeMap<&'static str, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Life {
    Creating { until: i64 },
    Enabled,
    Disabled,
    PendingDeletion { date: i64 },
    PendingReplicaDeletion { days: i64 },
    Updating { until: i64 },
}
use Life::{Creating, Disabled, Enabled, PendingDeletion, PendingReplicaDeletion, Updating};

/// What a call shows, or the code of its refusal.
pub(crate) type Shown = Result<Value, String>;

const NOT_FOUND: &str = "NotFoundException";
const INVALID_STATE: &str = "KMSInvalidStateException";
const DISABLED: &str = "DisabledException";
const EXISTS: &str = "AlreadyExistsException";
const UNSUPPORTED: &str = "UnsupportedOperationException";

impl Life {
    fn name(self) -> &'static str {
        match self {
            Creating { .. } => "Creating",
            Enabled => "Enabled",
            Disabled => "Disabled",
            PendingDeletion { .. } => "PendingDeletion",
            PendingReplicaDeletion { .. } => "PendingReplicaDeletion",
            Updating { .. } => "Updating",
        }
    }

    fn is_pending_deletion(self) -> bool {
        matches!(self, PendingDeletion { .. } | PendingReplicaDeletion { .. })
    }

    /// Fit for cryptography and for grants.
    fn check_usable(self) -> Result<(), &'static str> {
        match self {
            Enabled | Updating { .. } => Ok(()),
            Disabled => Err(DISABLED),
            Creating { .. } | PendingDeletion { .. } | PendingReplicaDeletion { .. } => Err(INVALID_STATE),
        }
    }

    fn check_not_pending_deletion(self) -> Result<(), &'static str> {
        if self.is_pending_deletion() { Err(INVALID_STATE) } else { Ok(()) }
    }
}

impl Member {
    fn new(life: Life) -> Member {
        Member { life, tags: BTreeMap::new(), denies_encrypt: false, grants: BTreeMap::new() }
    }
}

impl Family {
    fn new(multi_region: bool, region: usize) -> Family {
        let members = BTreeMap::from([(region, Member::new(Enabled))]);
        Family { multi_region, primary: region, members, rotation: None, rotated: 0 }
    }

    /// A key of one Region leads itself.
    fn check_leads(&self, region: usize) -> Result<(), &'static str> {
        if region == self.primary { Ok(()) } else { Err(UNSUPPORTED) }
    }
}

impl Place {
    /// Both keys in `region`, as CreateKey makes them.
    pub(crate) fn new(region: usize) -> Place {
        Place { keys: [Family::new(true, region), Family::new(false, region)], aliases: BTreeMap::new() }
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.keys.iter().all(|family| family.members.is_empty())
    }

    /// Does `call` at `now`. `told` is what the server has shown, where that is known: of new IDs, nobody else knows which.
    pub(crate) fn run(&mut self, call: &Call, now: i64, told: Option<&Shown>) -> Shown {
        self.act(call, now, told).map_err(str::to_owned)
    }

    fn act(&mut self, call: &Call, now: i64, told: Option<&Shown>) -> Result<Value, &'static str> {
        let (key, region) = (call.key, call.region);
        // These are found by something else than a key.
        match call.op {
            Op::DeleteAlias(name) => {
                return self.aliases.remove(&(region, name)).map(|_| Value::Null).ok_or(NOT_FOUND);
            }
            Op::UpdateAlias(name) if !self.aliases.contains_key(&(region, name)) => return Err(NOT_FOUND),
            _ => {}
        }
        let family = &mut self.keys[key];
        let primary = family.primary;
        let replicas: BTreeSet<usize> = family.members.keys().copied().filter(|member| *member != primary).collect();
        let rotation = family.rotation;
        let member = family.members.get_mut(&region).ok_or(NOT_FOUND)?;
        let life = member.life;
        match &call.op {
            Op::Enable | Op::Disable => {
                let next = if matches!(call.op, Op::Enable) { Enabled } else { Disabled };
                match life {
                    Enabled | Disabled => member.life = next,
                    _ => return Err(INVALID_STATE),
                }
            }
            Op::Schedule { days } => {
                match life {
                    Enabled | Disabled | Creating { .. } => {}
                    _ => return Err(INVALID_STATE),
                }
                let waits = region == primary && !replicas.is_empty();
                member.life = if waits {
                    PendingReplicaDeletion { days: *days }
                } else {
                    PendingDeletion { date: now + days * DAY }
                };
                return Ok(dated(member.life));
            }
            Op::Cancel => {
                if !life.is_pending_deletion() {
                    return Err(INVALID_STATE);
                }
                member.life = Disabled;
            }
            Op::Tag(tag, value) => {
                life.check_not_pending_deletion()?;
                member.tags.insert(tag, *value);
            }
            Op::Untag(tag) => {
                life.check_not_pending_deletion()?;
                member.tags.remove(tag);
            }
            Op::PutPolicy { denies_encrypt } => member.denies_encrypt = *denies_encrypt,
            Op::Encrypt => {
                if member.denies_encrypt {
                    return Err("AccessDeniedException");
                }
                life.check_usable()?;
            }
            Op::Decrypt { .. } => {
                life.check_usable()?;
                // What was encrypted is in every blob: which key it is for.
                return Ok(json!(key));
            }
            Op::CreateGrant(name) => {
                life.check_usable()?;
                let told = told.and_then(|told| told.as_ref().ok()).and_then(Value::as_str).unwrap_or_default();
                let id = member.grants.entry(name).or_default();
                if id.is_empty() {
                    told.clone_into(id);
                }
                return Ok(json!(id));
            }
            Op::RevokeGrant { id } => {
                let known = member.grants.len();
                member.grants.retain(|_, known| known != id);
                if member.grants.len() == known {
                    return Err(NOT_FOUND);
                }
            }
            Op::Replicate { to } => {
                match life {
                    Enabled => {}
                    Disabled => return Err(DISABLED),
                    _ => return Err(INVALID_STATE),
                }
                if !family.multi_region {
                    return Err(UNSUPPORTED);
                }
                family.check_leads(region)?;
                if family.members.contains_key(to) {
                    return Err(EXISTS);
                }
                family.members.insert(*to, Member::new(Creating { until: now + SETTLING }));
            }
            Op::MovePrimary { to } => {
                if !family.multi_region {
                    return Err(UNSUPPORTED);
                }
                family.check_leads(region)?;
                if *to == region {
                    return Err("ValidationException");
                }
                let old = life;
                let new = family.members.get(to).ok_or(NOT_FOUND)?.life;
                for life in [old, new] {
                    match life {
                        Enabled | Updating { .. } => {}
                        Disabled => return Err(DISABLED),
                        _ => return Err(INVALID_STATE),
                    }
                }
                for region in [region, *to] {
                    family.members.get_mut(&region).ok_or(NOT_FOUND)?.life = Updating { until: now + SETTLING };
                }
                family.primary = *to;
            }
            Op::EnableRotation { .. } | Op::DisableRotation | Op::Rotate => {
                life.check_usable()?;
                family.check_leads(region)?;
                match call.op {
                    Op::EnableRotation { days } => family.rotation = Some(days),
                    Op::DisableRotation => family.rotation = None,
                    _ if family.rotated >= ROTATIONS => return Err("LimitExceededException"),
                    _ => family.rotated += 1,
                }
            }
            Op::CreateAlias(name) | Op::UpdateAlias(name) => {
                life.check_not_pending_deletion()?;
                if matches!(call.op, Op::CreateAlias(_)) && self.aliases.contains_key(&(region, name)) {
                    return Err(EXISTS);
                }
                self.aliases.insert((region, name), key);
            }
            Op::DeleteAlias(_) => unreachable!("it was answered above"),
            Op::Describe => {
                let mut shown = dated(life);
                if family.multi_region {
                    shown["primary"] = json!(REGIONS[primary]);
                    let replicas: BTreeSet<&str> = replicas.iter().map(|replica| REGIONS[*replica]).collect();
                    shown["replicas"] = json!(replicas);
                }
                return Ok(shown);
            }
            Op::ListTags => return Ok(json!(member.tags)),
            Op::ListGrants => {
                // An ID that nobody was told is seen here first.
                for (name, id) in member.grants.iter_mut().filter(|(_, id)| id.is_empty()) {
                    let told = told.and_then(|told| told.as_ref().ok()).and_then(|told| told[name].as_str());
                    told.unwrap_or_default().clone_into(id);
                }
                return Ok(json!(member.grants));
            }
            Op::GetPolicy => return Ok(json!(member.denies_encrypt)),
            Op::RotationStatus => {
                return Ok(json!(rotation.filter(|_| !life.is_pending_deletion())));
            }
            Op::ListRotations => return Ok(json!(family.rotated)),
            Op::ListAliases => {
                let here = self.aliases.iter().filter(|((at, _), target)| *at == region && **target == key);
                return Ok(json!(here.map(|((_, name), _)| name).collect::<Vec<_>>()));
            }
        }
        Ok(Value::Null)
    }

    /// Lets time pass until `to`. Who has died, and when: key, Region, date.
    pub(crate) fn pass(&mut self, to: i64) -> BTreeSet<(usize, usize, i64)> {
        let mut dead = BTreeSet::new();
        while let Some(death) = self.next_death().filter(|(_, _, date)| *date <= to) {
            let (key, region, date) = death;
            dead.insert(death);
            self.aliases.retain(|(at, _), target| (*at, *target) != (region, key));
            let family = &mut self.keys[key];
            family.members.remove(&region);
            if let (1, Some(last)) = (family.members.len(), family.members.get_mut(&family.primary))
                && let PendingReplicaDeletion { days } = last.life
            {
                last.life = PendingDeletion { date: date + days * DAY };
            }
        }
        for member in self.keys.iter_mut().flat_map(|family| family.members.values_mut()) {
            if let Creating { until } | Updating { until } = member.life
                && until <= to
            {
                member.life = Enabled;
            }
        }
        dead
    }

    fn next_death(&self) -> Option<(usize, usize, i64)> {
        let members =
            |key: usize| self.keys[key].members.iter().map(move |(region, member)| (key, *region, member.life));
        let deaths = (0..2).flat_map(members).filter_map(|(key, region, life)| match life {
            PendingDeletion { date } => Some((key, region, date)),
            _ => None,
        });
        deaths.min_by_key(|(_, _, date)| *date)
    }
}

/// A state, with the date or the waiting period that belongs to it.
fn dated(life: Life) -> Value {
    let mut shown = json!({ "state": life.name() });
    match life {
        PendingDeletion { date } => shown["date"] = json!(date),
        PendingReplicaDeletion { days } => shown["days"] = json!(days),
        _ => {}
    }
    shown
}
