//! A plan: everything that an approval is bound to.

use exokit_core::level::removal;
use exokit_model::access::AccessTerms;
use exokit_model::additions::ClusterAdditions;
use exokit_model::approval::{Person, Roster};
use exokit_model::canonical::Digest;
use exokit_model::cost::{ApprovalLevel, UnknownPrice};
use exokit_model::plan::{Action, Plan};
use exokit_model::text::Escaped;

use crate::format::{amount, duration, table};
use crate::{objects, tree};

/// Formats a whole plan.
pub fn text(plan: &Plan, digest: &Digest, roster: &Roster, speed: f64) -> String {
    let mut text = format!("{}\n", heading(plan));
    if !plan.graph.nodes().is_empty() {
        text.push_str(&format!("\n{}", resources(plan)));
        text.push_str(&in_cluster(plan));
        text.push_str(&format!("\n{}", order(plan, speed)));
    }
    text.push_str(&recipient(plan));
    text.push_str(&format!("\n{}", cost(plan)));
    text.push_str(&format!("\n{}", level(plan, roster)));
    text.push_str(&format!("\n{}{}", expiry(plan), destroys(plan)));
    if !plan.corrections.is_empty() {
        text.push_str(&format!("\n{}", corrections(plan)));
    }
    text.push_str(&format!("\nDigest {digest}\nPlan   {}\n", plan.plan_id));
    text
}

/// Formats what users added to the cluster; empty when they added nothing.
fn additions(added: &ClusterAdditions) -> String {
    if let Some(why) = &added.unreadable {
        return format!("The cluster could not be asked what its users added: {why}\n");
    }
    if added.objects.is_empty() {
        return String::new();
    }
    let rows = added
        .objects
        .iter()
        .map(|object| [format!("  {}", object.kind), object.namespace.to_string(), object.name.to_string()]);
    let more = match added.more {
        0 => String::new(),
        more => format!("  and {more} more\n"),
    };
    let rows = table(["  KIND", "NAMESPACE", "NAME"], rows);
    format!("Users of the cluster added these objects; they are deleted too\n{rows}{more}")
}

/// Formats what a plan does to which environment, in one line.
pub fn heading(plan: &Plan) -> String {
    let (name, template, zone) = (&plan.environment, plan.template, &plan.zone);
    let what = match plan.action {
        Action::Provision => format!("make {name} from {template} in {zone}"),
        Action::Teardown => format!("remove {name} ({template}) from {zone}"),
        Action::Extend => {
            format!("let {name} live {} longer", duration(plan.extend_seconds.unwrap_or_default()))
        }
        Action::Access => {
            let what = plan.access.as_ref().map(|terms| terms.access.to_string()).unwrap_or_default();
            format!("hand out {what} of {name}")
        }
    };
    let team = plan.team.as_ref().map(|team| format!(" of team {team}")).unwrap_or_default();
    format!("Plan to {what}, asked for by {}{team}", plan.requester)
}

/// Formats the key that an access is sealed to; empty for other plans.
fn recipient(plan: &Plan) -> String {
    let line =
        |terms: &AccessTerms| format!("\nOnly the holder of the key {} can read it\n", terms.recipient);
    plan.access.as_ref().map(line).unwrap_or_default()
}

/// Formats what is made inside the cluster; empty when that is nothing.
fn in_cluster(plan: &Plan) -> String {
    match objects::text(plan) {
        text if text.is_empty() => text,
        text => format!("\n{text}"),
    }
}

/// Formats the other resources as a table.
fn resources(plan: &Plan) -> String {
    let others = plan.graph.nodes().iter().filter(|node| objects::made(node).is_none());
    let rows = others.map(|node| {
        let after: Vec<&str> = node.depends_on.iter().map(|key| key.as_str()).collect();
        [
            node.key.to_string(),
            node.kind.to_string(),
            node.name.clone(),
            if after.is_empty() { "-".to_owned() } else { after.join(", ") },
            duration(u64::from(node.predicted_seconds)),
        ]
    });
    table(["RESOURCE", "KIND", "NAME", "DEPENDS ON", "PREDICTED"], rows)
}

fn order(plan: &Plan, speed: f64) -> String {
    let whole = u64::from(plan.critical_path_seconds);
    let here = match speed > 1.0 {
        true => format!(" ({:.0} s on this simulated cloud)", f64::from(plan.critical_path_seconds) / speed),
        false => String::new(),
    };
    format!(
        "Order, done after {}{here}; * is the critical path\n{}",
        duration(whole),
        tree::draw(&plan.graph)
    )
}

/// Formats the cost with its parts and assumptions.
fn cost(plan: &Plan) -> String {
    let mut text = total(plan);
    if plan.action != Action::Teardown && !plan.cost.lines.is_empty() {
        let rows = plan.cost.lines.iter().map(|line| {
            let quantity = line.quantity.normalize().to_string();
            [format!("  {}", line.what), quantity, line.item.to_string(), amount(line.hourly)]
        });
        text.push_str(&table(["  WHAT", "QUANTITY", "PRICE LIST ITEM", "PER HOUR"], rows));
    }
    text.push_str(&unknown(plan));
    text
}

/// Formats the unknown prices, each with its assumption.
pub fn unknown(plan: &Plan) -> String {
    let line = |unknown: &UnknownPrice| {
        format!(
            "  unknown price: {}, assumed {} per hour: {}\n",
            unknown.item,
            amount(unknown.assumed_hourly),
            unknown.assumption
        )
    };
    plan.cost.unknown.iter().map(line).collect()
}

/// Formats when the environment expires and what happens then; empty when it
/// does not expire.
pub fn expiry(plan: &Plan) -> String {
    let Some(spec) = &plan.spec else { return String::new() };
    let when = match (spec.ttl_seconds, spec.keep_alive_seconds) {
        (None, None) => return String::new(),
        (Some(ttl), None) => format!("after {}", duration(ttl)),
        (None, Some(wait)) => format!("{} after the last sign of life of its owner", duration(wait)),
        (Some(ttl), Some(wait)) => {
            let (ttl, wait) = (duration(ttl), duration(wait));
            format!("after {ttl}, or {wait} after the last sign of life of its owner")
        }
    };
    let then = match removal(spec).as_deref() {
        None => "then its removal is planned and waits for approval".to_owned(),
        Some([]) => "then it is removed without being asked again".to_owned(),
        Some(data) => {
            format!("then it is removed with its data without being asked again: {}", data.join(", "))
        }
    };
    format!("Expires {when}; {then}\n")
}

/// Formats the total cost in one line.
pub fn total(plan: &Plan) -> String {
    let cost = &plan.cost;
    if matches!(plan.action, Action::Teardown | Action::Access) {
        return "Cost: nothing\n".to_owned();
    }
    let mut text = format!(
        "Cost {} {} per hour, {} per 720 h",
        amount(cost.hourly),
        Escaped(&cost.currency),
        amount(cost.monthly.round_dp(2))
    );
    if let Some(ttl) = cost.ttl {
        let seconds = plan.extend_seconds.or(plan.spec.as_ref().and_then(|spec| spec.ttl_seconds));
        text.push_str(&format!(
            ", {} for {}",
            amount(ttl.round_dp(2)),
            duration(seconds.unwrap_or_default())
        ));
    }
    text.push_str(&format!("; band {}; prices of {}, without VAT\n", plan.band, Escaped(&cost.price_date)));
    text
}

/// Formats the approval level, its reasons, and who may approve.
pub fn level(plan: &Plan, roster: &Roster) -> String {
    let needs = match plan.level {
        ApprovalLevel::One => "runs at once".to_owned(),
        ApprovalLevel::Two => "needs one person".to_owned(),
        ApprovalLevel::Three => "needs two persons of two roles".to_owned(),
    };
    let mut text = format!("Approval level {}: {needs}\n", plan.level);
    for reason in &plan.level_reasons {
        text.push_str(&format!("  {} because {}\n", reason.level, reason.why));
    }
    if plan.level > ApprovalLevel::One {
        text.push_str(&format!("  may approve: {}\n", may_approve(plan, roster)));
    }
    text
}

/// Formats the persons whose vote would count.
pub fn may_approve(plan: &Plan, roster: &Roster) -> String {
    if roster.persons.is_empty() {
        return "nobody yet: `exokit approver init` begins a roster of persons and keys".to_owned();
    }
    let principal = roster.principal(&plan.requester);
    let counts = |person: &&Person| {
        person.agent_of.is_none()
            && person.id != plan.requester
            && person.id != principal
            && person.keys.iter().any(|key| key.revoked_at.is_none())
    };
    let names: Vec<String> = roster
        .persons
        .iter()
        .filter(counts)
        .map(|person| {
            let roles: Vec<&str> = person.roles.iter().map(|role| role.as_str()).collect();
            format!("{} ({})", person.id, roles.join(", "))
        })
        .collect();
    let known = roster.person(&plan.requester).is_some();
    match (names.is_empty(), known) {
        (_, false) => format!(
            "nobody yet, because {} is not in the roster: `exokit approver add {}`",
            plan.requester, plan.requester
        ),
        (true, true) => "nobody yet: `exokit approver add` adds a person".to_owned(),
        (false, true) => names.join(", "),
    }
}

/// Formats what a plan destroys.
pub fn destroys(plan: &Plan) -> String {
    let mut text = match plan.destroys.is_empty() {
        true => "Destroys nothing".to_owned(),
        false => {
            let data = plan.destroys.iter().filter(|destroy| destroy.data).count();
            format!("Destroys {} resources, {data} of them with data", plan.destroys.len())
        }
    };
    if !plan.rollback_destroys.is_empty() {
        let keys: Vec<&str> = plan.rollback_destroys.iter().map(|key| key.as_str()).collect();
        text.push_str(&format!(
            "; if it fails, it takes back what it made itself, with the data in {}",
            keys.join(", ")
        ));
    }
    text.push('\n');
    if !plan.destroys.is_empty() {
        let rows = plan.destroys.iter().map(|destroy| {
            let data = if destroy.data { "DATA IS LOST" } else { "" };
            [format!("  {}", destroy.kind), destroy.name.to_string(), destroy.id.to_string(), data.to_owned()]
        });
        text.push_str(&table(["  KIND", "NAME", "ID", ""], rows));
    }
    text.push_str(&additions(&plan.additions));
    text
}

/// Formats the corrections to the request.
pub fn corrections(plan: &Plan) -> String {
    let mut text = format!("Corrections to what was asked: {}\n", plan.corrections.len());
    for correction in &plan.corrections {
        text.push_str(&format!(
            "  {}: {} -> {}: {}\n",
            correction.field, correction.from, correction.to, correction.why
        ));
    }
    text
}
