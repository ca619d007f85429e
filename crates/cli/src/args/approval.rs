//! Arguments of the commands about votes, persons and keys.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use exokit_model::ids::{KeyId, PersonId, RoleName};
use exokit_text::format::parse_duration;
use rust_decimal::Decimal;

/// A vote on a recorded plan.
#[derive(Debug, Args)]
pub(crate) struct VoteArgs {
    /// Plan id, digest or environment
    #[arg(value_name = "PLAN|DIGEST|ENV")]
    pub(crate) target: String,
    /// Your key [env: EXOKIT_KEY] [default: keys/PERSON.pem in the state directory]
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Public half of the root key, which has signed the roster [default: the
    /// pinned one of the state directory]
    #[arg(long, value_name = "FILE")]
    pub(crate) root: Option<PathBuf>,
    /// Do not ask before signing
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// Submit a token that was made elsewhere
    #[arg(long, value_name = "FILE", conflicts_with_all = ["key", "print_token"])]
    pub(crate) token: Option<PathBuf>,
    /// Only make the token and print it
    #[arg(long)]
    pub(crate) print_token: bool,
}

/// What to do with the roster.
#[derive(Debug, Subcommand)]
pub(crate) enum ApproverCommand {
    Init(InitArgs),
    CreateKey(CreateKeyArgs),
    Add(AddArgs),
    Revoke(RevokeArgs),
    /// List persons, roles and keys in force
    ///
    /// Example:
    ///   exokit approver list -o json
    #[command(verbatim_doc_comment)]
    List,
    Policy(PolicyArgs),
}

/// Make the root key and the first roster
///
/// Works on this host.
///
/// The private half is encrypted under a passphrase; the public half is pinned
/// in the state directory. Keep the private half elsewhere.
///
/// Example:
///   exokit approver init --root-key root.pem
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct InitArgs {
    /// Where to write the private root key [default: keys/root.pem in the state directory]
    #[arg(long, value_name = "FILE")]
    pub(crate) root_key: Option<PathBuf>,
}

/// Make a key with which a person votes
///
/// Works on this host.
///
/// Prints the public half, which `approver add` takes.
///
/// Example:
///   exokit approver create-key alex --out alex.pem
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct CreateKeyArgs {
    /// The person
    pub(crate) person: PersonId,
    /// Where to write the private key [default: keys/PERSON.pem in the state directory]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// Add a person, or another key of a person
///
/// Works on this host.
///
/// Examples:
///   exokit approver add alex --role platform --public KEY
///   exokit approver add dana-agent --agent-of dana --team research
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct AddArgs {
    /// The person
    pub(crate) person: PersonId,
    /// A role; may be repeated. Level 3 needs two persons of two roles
    #[arg(long = "role", value_name = "ROLE")]
    pub(crate) roles: Vec<RoleName>,
    /// Team whose budget the person's requests count against
    #[arg(long)]
    pub(crate) team: Option<RoleName>,
    /// The person for whom this agent acts; it can request, never approve
    #[arg(long, value_name = "PERSON")]
    pub(crate) agent_of: Option<PersonId>,
    /// The person's public key
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    pub(crate) public: Option<String>,
    /// The private root key [default: keys/root.pem in the state directory]
    #[arg(long, value_name = "FILE")]
    pub(crate) root_key: Option<PathBuf>,
}

/// Revoke a key
///
/// Works on this host.
///
/// Example:
///   exokit approver revoke 0123456789abcdef
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct RevokeArgs {
    /// The key's id, as `approver list` shows it
    pub(crate) key: KeyId,
    /// The private root key [default: keys/root.pem in the state directory]
    #[arg(long, value_name = "FILE")]
    pub(crate) root_key: Option<PathBuf>,
}

/// Show or change cost bands and budget caps
///
/// A change works on this host.
///
/// Examples:
///   exokit approver policy
///   exokit approver policy --low-max 0.10 --requester-daily-max 10
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct PolicyArgs {
    /// Upper end of LOW per hour
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) low_max: Option<Decimal>,
    /// Upper end of MEDIUM per hour
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) medium_max: Option<Decimal>,
    /// Upper end of HIGH per hour
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) high_max: Option<Decimal>,
    /// Cap per request and hour
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) request_max: Option<Decimal>,
    /// Cap on the hourly rates that one requester asks for in a day
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) requester_daily_max: Option<Decimal>,
    /// Cap on the hourly rates that one team asks for in a day
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) team_daily_max: Option<Decimal>,
    /// Longest life of an environment with all extensions, such as 30d
    #[arg(long, value_name = "30d", value_parser = parse_duration)]
    pub(crate) life_max: Option<u64>,
    /// The private root key [default: keys/root.pem in the state directory]
    #[arg(long, value_name = "FILE")]
    pub(crate) root_key: Option<PathBuf>,
}
